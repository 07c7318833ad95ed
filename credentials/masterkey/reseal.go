package masterkey

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
func (m *Rotation) eachSealed(ctx context.Context, page int, fn func(rows []credentials.SealedRow) error) error {
	for _, kind := range m.Canary.SealedKinds() {
		for after := (*credentials.SealedRow)(nil); ; {
			rows, err := m.Canary.SealedRows(ctx, kind, after, page)
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
func (m *Rotation) countSealed(ctx context.Context) (map[uint32]int, error) {
	count := make(map[uint32]int)
	err := m.eachSealed(ctx, sealedPage, func(rows []credentials.SealedRow) error {
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
// canary; when the canary is, nothing is read. It may be stopped at any moment and run
// again, by several processes at once: each text is replaced only where it is still the one
// that was read. Texts that do not open are left as they are.
func (m *Rotation) FinishRotation(ctx context.Context) error {
	m.rotation.walk.Lock()
	defer m.rotation.walk.Unlock()
	unfinished, err := m.unfinished(ctx)
	if err != nil || !unfinished {
		m.rotation.update(func() { m.rotation.running = false })
		return err
	}
	m.rotation.update(func() { m.rotation.running, m.rotation.done, m.rotation.message = true, 0, "" })
	primary := m.Keyset.Keys().Primary
	m.Log.InfoContext(ctx, "re-encrypting with another master key", "key", primary)
	broken, err := m.resealAll(ctx)
	message := ""
	switch {
	case err != nil:
		message = "the rotation was interrupted and goes on by itself; the log says why"
	case broken > 0:
		message = fmt.Sprintf("%d sealed texts do not open and were left as they are: enter the secrets of the credentials that are damaged again", broken)
	}
	done := 0
	m.rotation.update(func() { m.rotation.running, m.rotation.message, done = false, message, m.rotation.done })
	if err == nil {
		m.Log.InfoContext(ctx, "re-encrypted with another master key", "key", primary, "texts", done, "left", broken)
	}
	return err
}

// resealAll walks until nothing is left that another process sealed with an older key.
func (m *Rotation) resealAll(ctx context.Context) (broken int, err error) {
	for range sealedPasses {
		left := 0
		if _, err := m.Canary.Reseal(ctx, nil); err != nil { // an edit under way may still seal with the former key
			return broken, fmt.Errorf("wait for edits: %w", err)
		}
		err := m.eachSealed(ctx, sealedBatch, func(rows []credentials.SealedRow) error {
			n, bad, err := m.reseal(ctx, rows)
			left, broken = left+n, broken+bad
			return err
		})
		if err != nil {
			return broken, err
		}
		if left == 0 {
			return broken, m.resealCanary(ctx)
		}
		broken = 0
	}
	return broken, m.resealCanary(ctx)
}

// reseal seals the texts of rows with the primary key. found is how many were not.
func (m *Rotation) reseal(ctx context.Context, rows []credentials.SealedRow) (found, broken int, err error) {
	primary := m.Keyset.Keys().Primary
	var next []credentials.SealedRow
	for _, row := range rows {
		texts := maps.Clone(row.Texts)
		changed := 0
		for field, text := range row.Texts {
			if sealing.KeyID(text) == primary {
				continue
			}
			at := sealing.AssociatedData{Kind: row.Kind, ID: string(row.Credential), Version: row.Version, Field: field}
			if texts[field], err = m.Keyset.Reseal(at, text); err != nil {
				m.Log.WarnContext(ctx, "sealed text left as it is", "error", err)
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
	if _, err := m.Canary.Reseal(ctx, next); err != nil {
		return found, broken, fmt.Errorf("store what was re-encrypted: %w", err)
	}
	m.rotation.update(func() { m.rotation.done += found })
	return found, broken, ctx.Err()
}

// resealCanary ends a rotation. Another process may have done it.
func (m *Rotation) resealCanary(ctx context.Context) error {
	old, err := m.Canary.Canary(ctx)
	if err != nil {
		return fmt.Errorf("read canary: %w", err)
	}
	next, err := m.Keyset.Reseal(sealing.CanaryData(), old)
	if err != nil {
		return err
	}
	if _, err := m.Canary.SwapCanary(ctx, old, next); err != nil {
		return fmt.Errorf("store canary: %w", err)
	}
	return nil
}
