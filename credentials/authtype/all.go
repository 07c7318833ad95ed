package authtype

import (
	"fmt"
	"strings"
	"sync"

	"keyflow/credentials"
)

// All lists the authentication types in the order of the form. The name of each is a constant of
// package credentials.
func All() []Type {
	return []Type{noAuth(), basicAuth(), apiKey(), oauth2(), bearerToken(), custom(), jwtType(), clientCertificate(), signing()}
}

// Names lists the names of the types in the order of the form.
func Names() []string {
	types := All()
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = string(t.Name)
	}
	return names
}

// byName is made once: types do not change.
var byName = sync.OnceValue(func() map[credentials.TypeName]*Type {
	types := make(map[credentials.TypeName]*Type)
	for _, t := range All() {
		types[t.Name] = &t
	}
	return types
})

// Named returns the type of a name, which is shared; nil when there is none.
func Named(name credentials.TypeName) *Type { return byName()[name] }

// CannotVerify says that a credential of this type verifies no inbound webhooks.
func CannotVerify(id credentials.ID, typ credentials.TypeName) string {
	var able []string
	for _, t := range All() {
		if t.Verify != nil {
			able = append(able, string(t.Name))
		}
	}
	last := len(able) - 1
	return fmt.Sprintf("credential %q is of type %s; inbound webhooks are verified by %s or %s", id, typ, strings.Join(able[:last], ", "), able[last])
}
