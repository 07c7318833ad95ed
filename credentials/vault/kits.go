package vault

import (
	"maps"
	"slices"
	"sync"

	"keyflow/credentials"
	"keyflow/credentials/authtype"
	"keyflow/credentials/internal/failurerule"
	"keyflow/credentials/redact"
	"keyflow/internal/secret"
)

// kit is what requests with one revision of a credential and one token need again and again.
// It is immutable.
type kit struct {
	opened     *opened
	revision   int64
	generation int64 // of the token; 0 for types without
	wire       []string
	redactor   *redact.Redactor // nil: there is nothing to hide
	rules      failurerule.Set
}

// kits keeps the last kit of each credential. Its zero value is empty.
type kits struct {
	mu   sync.RWMutex
	byID map[credentials.ID]*kit
}

// kitOf returns the kit for requests that put wire on the wire.
func (r *Resolver) kitOf(o *opened, token *cachedToken, wire []string) *kit {
	generation := int64(0)
	if token != nil {
		generation = token.generation
	}
	r.kits.mu.RLock()
	k := r.kits.byID[o.ID]
	r.kits.mu.RUnlock()
	if k != nil && k.revision == o.Revision && k.generation == generation && slices.Equal(k.wire, wire) && k.opened.sameReferences(o) {
		return k
	}
	k = r.newKit(o, token, wire)
	k.generation = generation
	r.kits.mu.Lock()
	defer r.kits.mu.Unlock()
	if r.kits.byID == nil {
		r.kits.byID = make(map[credentials.ID]*kit)
	}
	r.kits.byID[o.ID] = k
	return k
}

func (r *Resolver) newKit(o *opened, token *cachedToken, wire []string) *kit {
	k := &kit{opened: o, revision: o.Revision, wire: wire, rules: failurerule.Compile(&o.Credential, o.typ.Renews, r.log)}
	values := o.hidden(token)
	if len(values)+len(wire) > 0 {
		k.redactor = redact.New(redact.Secrets{Values: values, Wire: wire})
	}
	return k
}

// hidden lists the secret texts of a credential and its token.
func (o *opened) hidden(token *cachedToken) []string {
	var values []string
	for name, text := range o.Secret {
		values = append(values, o.secretTexts(name, text)...)
	}
	if token != nil {
		values = append(values, token.Access.Reveal(), token.Refresh.Reveal())
	}
	return values
}

// secretTexts lists what is secret in a field: the text, or each value of a map.
func (o *opened) secretTexts(name string, text secret.Text) []string {
	if f := o.typ.Field(name); f != nil && f.Kind == authtype.KindMap {
		return slices.Collect(maps.Values(o.Map(name)))
	}
	return []string{text.Reveal()}
}

func (k *kits) forget(id credentials.ID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.byID, id)
}
