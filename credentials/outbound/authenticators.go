package outbound

import (
	"slices"

	"keyflow/credentials"
	"keyflow/credentials/internal/decrypted"
	"keyflow/credentials/internal/failurerule"
	"keyflow/credentials/redact"
	"keyflow/credentials/token"
)

// authenticatorOf returns what is prepared for requests that put wire on the wire.
func (r *Resolver) authenticatorOf(o *decrypted.Credential, token *token.Cached, wire []string) *authenticator {
	generation := int64(0)
	if token != nil {
		generation = token.Generation
	}
	r.authenticators.mu.RLock()
	k := r.authenticators.byID[o.ID]
	r.authenticators.mu.RUnlock()
	if k != nil && k.revision == o.Revision && k.generation == generation && slices.Equal(k.wire, wire) && k.credential.SameReferences(o) {
		return k
	}
	k = r.newAuthenticator(o, token, wire)
	k.generation = generation
	r.authenticators.mu.Lock()
	defer r.authenticators.mu.Unlock()
	if r.authenticators.byID == nil {
		r.authenticators.byID = make(map[credentials.ID]*authenticator)
	}
	r.authenticators.byID[o.ID] = k
	return k
}

func (r *Resolver) newAuthenticator(o *decrypted.Credential, token *token.Cached, wire []string) *authenticator {
	k := &authenticator{credential: o, revision: o.Revision, wire: wire, Rules: failurerule.Compile(&o.Credential, o.AuthType.Renews, r.Log)}
	values := o.Hidden()
	if token != nil {
		values = append(values, token.Access.Reveal(), token.Refresh.Reveal())
	}
	if len(values)+len(wire) > 0 {
		k.redactor = redact.New(redact.Secrets{Values: values, Wire: wire})
	}
	return k
}

// Forget drops what is prepared for a credential that is gone.
func (r *Resolver) Forget(id credentials.ID) { r.authenticators.forget(id) }
