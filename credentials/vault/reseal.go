package vault

import (
	"context"
	"fmt"
	"maps"

	"keyflow/credentials"
	"keyflow/credentials/internal/sealing"
)

const (
	sealedPage   = 200 // rows that a count reads at once
	sealedBatch  = 50  // rows that are sealed again in one transaction: edits wait for it
	sealedPasses = 5   // over everything, when others seal with an older key meanwhile
)

// eachSealed calls fn with all rows of all kinds, a page at a time.
func (v *Vault) eachSealed(ctx context.Context, page int, fn func(rows []credentials.SealedRow) error) error {
	for _, kind := range v.canary.SealedKinds() {
		for after := (*credentials.SealedRow)(nil); ; {
			rows, err := v.canary.SealedRows(ctx, kind, after, page)
			if err != nil {
				return fmt.Errorf("read sealed %s: %w", kind, err)
			}
			if len(rows) > 0 {
				if err := fn(rows); err != nil {
					return err
				}
				after = &rows[len(rows)-1]
			}
			if len(rows) < page {
				break
			}
		}
	}
	return nil
}

// countSealed counts texts by the key that sealed them.
func (v *Vault) countSealed(ctx context.Context) (map[uint32]int, error) {
	count := make(map[uint32]int)
	err := v.eachSealed(ctx, sealedPage, func(rows []credentials.SealedRow) error {
		for _, row := range rows {
			for _, text := range row.Texts {
				count[sealing.KeyID(text)]++
			}
		}
		return nil
	})
	return count, err
}

// FinishRotation re-encrypts what is not sealed with the primary key, and last of all the
// canary; when the canary is, nothing is looked at. It may be stopped at any moment and run
// again, by several processes at once: each text is replaced only where it is still the one
// that was read. Texts that do not open are left as they are.
func (v *Vault) FinishRotation(ctx context.Context) error {
	v.rotation.walk.Lock()
	defer v.rotation.walk.Unlock()
	unfinished, err := v.unfinished(ctx)
	if err != nil || !unfinished {
		v.rotation.update(func() { v.rotation.running = false })
		return err
	}
	v.rotation.update(func() { v.rotation.running, v.rotation.done, v.rotation.message = true, 0, "" })
	primary := v.keys.Keys().Primary
	v.log.InfoContext(ctx, "re-encrypting with another master key", "key", primary)
	broken, err := v.resealAll(ctx)
	message := ""
	switch {
	case err != nil:
		message = "the rotation was interrupted and goes on by itself; the log says why"
	case broken > 0:
		message = fmt.Sprintf("%d sealed texts do not open and were left as they are: enter the secrets of the credentials that are damaged again", broken)
	}
	done := 0
	v.rotation.update(func() { v.rotation.running, v.rotation.message, done = false, message, v.rotation.done })
	if err == nil {
		v.log.InfoContext(ctx, "re-encrypted with another master key", "key", primary, "texts", done, "left", broken)
	}
	return err
}

// resealAll walks until nothing is left that another process sealed with an older key.
func (v *Vault) resealAll(ctx context.Context) (broken int, err error) {
	for range sealedPasses {
		left := 0
		if _, err := v.canary.Reseal(ctx, nil); err != nil { // an edit under way may still seal with the former key
			return broken, fmt.Errorf("wait for edits: %w", err)
		}
		err := v.eachSealed(ctx, sealedBatch, func(rows []credentials.SealedRow) error {
			n, bad, err := v.reseal(ctx, rows)
			left, broken = left+n, broken+bad
			return err
		})
		if err != nil {
			return broken, err
		}
		if left == 0 {
			return broken, v.resealCanary(ctx)
		}
		broken = 0
	}
	return broken, v.resealCanary(ctx)
}

// reseal seals the texts of rows with the primary key. found is how many were not.
func (v *Vault) reseal(ctx context.Context, rows []credentials.SealedRow) (found, broken int, err error) {
	primary := v.keys.Keys().Primary
	var next []credentials.SealedRow
	for _, row := range rows {
		texts := maps.Clone(row.Texts)
		changed := 0
		for field, text := range row.Texts {
			if sealing.KeyID(text) == primary {
				continue
			}
			at := sealing.Place{Kind: row.Kind, ID: string(row.Credential), Version: row.Version, Field: field}
			if texts[field], err = v.keys.Reseal(at, text); err != nil {
				v.log.WarnContext(ctx, "sealed text left as it is", "error", err)
				texts[field] = text
				broken++
				continue
			}
			changed++
		}
		if changed > 0 {
			found += changed
			row.Texts = texts
			next = append(next, row)
		}
	}
	if len(next) == 0 {
		return found, broken, ctx.Err()
	}
	if _, err := v.canary.Reseal(ctx, next); err != nil {
		return found, broken, fmt.Errorf("store what was re-encrypted: %w", err)
	}
	v.rotation.update(func() { v.rotation.done += found })
	return found, broken, ctx.Err()
}

// resealCanary ends a rotation. Another process may have done it.
func (v *Vault) resealCanary(ctx context.Context) error {
	old, err := v.canary.Canary(ctx)
	if err != nil {
		return fmt.Errorf("read canary: %w", err)
	}
	next, err := v.keys.Reseal(sealing.CanaryPlace(), old)
	if err != nil {
		return err
	}
	if _, err := v.canary.SwapCanary(ctx, old, next); err != nil {
		return fmt.Errorf("store canary: %w", err)
	}
	return nil
}
