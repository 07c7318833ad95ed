package sealing

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// Canary keeps one sealed text that proves that the key fits the data.
type Canary interface {
	// Canary returns nil when the database is new.
	Canary(ctx context.Context) ([]byte, error)
	// PutCanary stores the canary if there is none yet and returns the one that is stored.
	PutCanary(ctx context.Context, sealed []byte) ([]byte, error)
	// Empty reports whether nothing sealed is stored.
	Empty(ctx context.Context) (bool, error)
}

// CanaryData is where the canary is kept.
func CanaryData() AssociatedData { return AssociatedData{Kind: "canary"} }

const canaryText = "keyflow canary 1"

// Prove opens the canary of the database. On a new database it writes the key file, when the
// key is new, and then the canary; in every other case it writes nothing. Errors
// are *KeyError or those of the store.
func (k *Keyset) Prove(ctx context.Context, store Canary) error {
	sealed, err := store.Canary(ctx)
	if err != nil {
		return fmt.Errorf("read canary: %w", err)
	}
	if sealed != nil {
		return k.openCanary(sealed)
	}
	empty, err := store.Empty(ctx)
	if err != nil {
		return fmt.Errorf("read canary: %w", err)
	}
	if !empty {
		return &KeyError{Message: "the database holds sealed credentials but lost the record that says which master key fits them; restore the database from its backup"}
	}
	if sealed, err = k.Seal(CanaryData(), []byte(canaryText)); err != nil {
		return err
	}
	made := k.fresh
	if made {
		if err := k.write(); err != nil {
			return err
		}
	}
	if sealed, err = store.PutCanary(ctx, sealed); err != nil {
		return fmt.Errorf("store canary: %w", err)
	}
	if err = k.openCanary(sealed); err != nil && made {
		// Another process began this database in the same moment, with another new key.
		err = errors.Join(err, os.Remove(k.source))
	}
	return err
}

func (k *Keyset) openCanary(sealed []byte) error {
	text, err := k.Open(CanaryData(), sealed)
	id := KeyID(sealed)
	if err == nil && string(text) == canaryText {
		return nil
	}
	switch {
	case k.fresh:
		return &KeyError{KeyID: id, Message: fmt.Sprintf("the master key is missing: the database was sealed with key %d, but %s does not exist; "+
			"restore that file from its backup, or set %s", id, k.source, KeyEnvironment)}
	case !k.ring.Load().holds(id):
		return &KeyError{KeyID: id, Message: fmt.Sprintf("wrong master key: the database was sealed with key %d, which is not in %s; "+
			"restore the %s that belongs to this database from its backup, or set %s", id, k.source, KeyFileName, KeyEnvironment)}
	default:
		return &KeyError{KeyID: id, Message: fmt.Sprintf("the master key in %s has the id %d of the key that sealed the database but does not open it: "+
			"the file or the database is damaged; restore both from their backups", k.source, id)}
	}
}

// Fits is nil when the keyset opens what store holds, and when that is sealed with nothing
// yet. It writes nothing. Errors are *KeyError or those of the store.
func (k *Keyset) Fits(ctx context.Context, store Canary) error {
	sealed, err := store.Canary(ctx)
	if err != nil {
		return fmt.Errorf("read canary: %w", err)
	}
	if sealed == nil {
		return nil
	}
	return k.openCanary(sealed)
}
