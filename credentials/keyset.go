package credentials

// Keyset seals and opens secrets (AES-256-GCM, Tink). It is safe for concurrent use.
type Keyset struct{}

// place binds a ciphertext to where it is stored; opened anywhere else it is an error.
type place struct {
	kind    string // "field", "token", "connect", "fingerprint_key", "canary"
	id      ID
	version int64
	field   string
}

// seal encrypts text for one place.
func (k *Keyset) seal(at place, text []byte) ([]byte, error) { return nil, nil }

// unseal decrypts what seal made for the same place.
func (k *Keyset) unseal(at place, sealed []byte) ([]byte, error) { return nil, nil }
