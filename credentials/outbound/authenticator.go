package outbound

import (
	"sync"

	"keyflow/credentials"
	"keyflow/credentials/internal/decrypted"
	"keyflow/credentials/internal/failurerule"
	"keyflow/credentials/redact"
)

// authenticator is what requests with one revision of a credential and one token have in common,
// prepared once. // It is immutable.
type authenticator struct {
	credential *decrypted.Credential
	revision   int64
	generation int64 // of the token; 0 for types without
	wire       []string
	redactor   *redact.Redactor // nil: there is nothing to hide
	Rules      failurerule.Set
}

// authenticators keeps the last authenticator of each credential. Its zero value is empty.
type authenticators struct {
	mu   sync.RWMutex
	byID map[credentials.ID]*authenticator
}

func (k *authenticators) forget(id credentials.ID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.byID, id)
}
