package credentials

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/aead/aesgcm"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/insecuresecretdataaccess"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/secretdata"

	"keyflow/internal/fault"
)

// KeyFileName is the file of the master key inside the data folder. Without it nobody can
// read the secrets again; it does not belong into the backup of the database.
const KeyFileName = "master.key"

// KeyEnvironment is the environment variable that takes the place of the key file.
const KeyEnvironment = "KEYFLOW_MASTER_KEY"

// Keyset seals and opens secrets (AES-256-GCM, Tink). It is safe for concurrent use.
type Keyset struct {
	source string // for messages: the file or the variable
	fresh  bool   // made just now and not yet written to source
	ring   atomic.Pointer[ring]
	file   keyFile
}

// KeyError says that the master key is missing, unreadable or not the one that sealed the
// data. Nothing was written; the process must not go on (exit code 3).
type KeyError struct {
	KeyID   uint32 // that the data needs; 0 when not known
	Message string // says what to restore; safe to show
	Err     error
}

// Error returns the message and the cause.
func (e *KeyError) Error() string {
	if e.Err == nil {
		return e.Message
	}
	return e.Message + ": " + e.Err.Error()
}

// Unwrap makes a KeyError an Unavailable fault with the same message.
func (e *KeyError) Unwrap() error {
	return fault.New(fault.Unavailable, "%s", e.Message).Because(e.Err)
}

// OpenKeyset reads the master key from env, the value of KEYFLOW_MASTER_KEY, or when that is
// empty from the key file in dir. The value is the text of a key file (a Tink keyset in JSON)
// or 32 random bytes in base64. Without either it makes a new key, which [New] writes to the
// file once it has seen that the database is new. Errors are *KeyError.
func OpenKeyset(dir, env string) (*Keyset, error) {
	if env != "" {
		return parseKeyset(env, KeyEnvironment)
	}
	path := filepath.Join(dir, KeyFileName)
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		handle, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
		if err != nil {
			return nil, fmt.Errorf("make a master key: %w", err)
		}
		k, err := newKeyset(handle, path, true)
		if err == nil {
			k.file.read(path)
		}
		return k, err
	case err != nil:
		return nil, &KeyError{Message: "the master key in " + path + " cannot be read; check owner and mode of the file", Err: err}
	}
	k, err := parseKeyset(string(text), path)
	if err != nil {
		return nil, err
	}
	k.file.read(path)
	return k, nil
}

// parseKeyset never shows text in an error: it is the key.
func parseKeyset(text, source string) (*Keyset, error) {
	text = strings.TrimSpace(text)
	handle, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(strings.NewReader(text)))
	if err != nil {
		handle, err = rawKey(text)
	}
	if err != nil {
		return nil, &KeyError{Message: "the master key in " + source + " is damaged or no key: restore it from its backup (a Tink keyset in JSON, or 32 bytes in base64)"}
	}
	return newKeyset(handle, source, false)
}

func newKeyset(handle *keyset.Handle, source string, fresh bool) (*Keyset, error) {
	r, err := newRing(handle)
	if err != nil {
		return nil, &KeyError{Message: "the master key in " + source + " is not a key for AES-256-GCM: restore it from its backup"}
	}
	k := &Keyset{source: source, fresh: fresh}
	k.ring.Store(r)
	return k, nil
}

// rawKey takes 32 bytes in base64. The key id comes from the bytes, so that it stays the same.
func rawKey(text string) (*keyset.Handle, error) {
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(raw) != 32 {
		return nil, errors.New("not 32 bytes in base64")
	}
	params, err := aesgcm.NewParameters(aesgcm.ParametersOpts{
		KeySizeInBytes: 32, IVSizeInBytes: 12, TagSizeInBytes: 16, Variant: aesgcm.VariantTink,
	})
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(append([]byte("keyflow key id"), raw...))
	key, err := aesgcm.NewKey(secretdata.NewBytesFromData(raw, insecuresecretdataaccess.Token{}), binary.BigEndian.Uint32(sum[:4])|1, params)
	if err != nil {
		return nil, err
	}
	manager := keyset.NewManager()
	id, err := manager.AddKey(key)
	if err != nil {
		return nil, err
	}
	if err := manager.SetPrimary(id); err != nil {
		return nil, err
	}
	return manager.Handle()
}

// Format implements fmt.Formatter and shows nothing.
func (k *Keyset) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("***")) }

var canaryPlace = place{kind: "canary"}

const canaryText = "keyflow canary 1"

// prove opens the canary of the database. On a new database it writes the key file, when the
// key is new, and then the canary; in every other case it writes nothing.
func (k *Keyset) prove(ctx context.Context, store CanaryStore) error {
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
	if sealed, err = k.seal(canaryPlace, []byte(canaryText)); err != nil {
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
	text, err := k.unseal(canaryPlace, sealed)
	id := keyID(sealed)
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

// keyID reads which key sealed a ciphertext (Tink's prefix: 1, then the id, big endian).
func keyID(sealed []byte) uint32 {
	if len(sealed) < 5 || sealed[0] != 1 {
		return 0
	}
	return binary.BigEndian.Uint32(sealed[1:5])
}

// Fits is nil when the keyset opens what store holds, and when that is sealed with nothing
// yet. It writes nothing. Errors are *KeyError or those of the store.
func (k *Keyset) Fits(ctx context.Context, store CanaryStore) error {
	sealed, err := store.Canary(ctx)
	if err != nil {
		return fmt.Errorf("read canary: %w", err)
	}
	if sealed == nil {
		return nil
	}
	return k.openCanary(sealed)
}
