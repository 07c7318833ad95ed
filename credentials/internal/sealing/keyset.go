package sealing

import (
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

// OpenKeyset reads the master key from env, the value of KEYFLOW_MASTER_KEY, or when that is empty
// from the key file in dir. The value is the text of a key file (a Tink keyset in JSON) or 32
// random bytes in base64. Without either it makes a new key, which [Keyset.Prove] writes to the
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

// KeyID reads which key sealed a ciphertext (Tink's prefix: 1, then the id, big endian); 0 is none.
func KeyID(sealed []byte) uint32 {
	if len(sealed) < 5 || sealed[0] != 1 {
		return 0
	}
	return binary.BigEndian.Uint32(sealed[1:5])
}

// Keys says which keys a keyset holds.
type Keys struct {
	Primary uint32   // seals
	IDs     []uint32 // all open; oldest first; not to be changed
}

// Newest is the key that was added last.
func (k Keys) Newest() uint32 { return k.IDs[len(k.IDs)-1] }

// Keys returns the keys in memory.
func (k *Keyset) Keys() Keys {
	r := k.ring.Load()
	return Keys{Primary: r.primary, IDs: r.ids}
}

// Source is the file or the variable that the keys came from.
func (k *Keyset) Source() string { return k.source }

// FromFile reports whether the keys came from the key file, so that Grow can add to them.
func (k *Keyset) FromFile() bool { return k.file.path != "" }
