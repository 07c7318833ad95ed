package decrypted

import (
	"fmt"
	"maps"
	"net/url"
	"slices"

	"keyflow/credentials"
	"keyflow/credentials/authtype"
	"keyflow/credentials/internal/reach"
	"keyflow/internal/secret"
)

// Credential is the current version of one credential with its secrets decrypted. It is
// immutable and shared by everyone who uses the credential.
type Credential struct {
	credentials.Credential
	AuthType *authtype.Type
	authtype.Values
	Hosts reach.Hosts
	Key   secret.Text // of fingerprints
	Grant int64       // see Record.Grant
}

// AllowsHost reports whether requests with this credential may go to u. A no_auth credential
// without allowed_hosts names no secret and may go anywhere.
func (o *Credential) AllowsHost(u *url.URL) bool {
	return o.Type == credentials.TypeNoAuth && len(o.AllowedHosts) == 0 || o.Hosts.Allow(u)
}

// AllowsWorkflow reports whether this workflow may use the credential.
func (o *Credential) AllowsWorkflow(folder, workflow string) bool {
	return reach.AllowWorkflow(o.AllowedWorkflows, folder, workflow)
}

// WithState returns a copy in another state.
func (o *Credential) WithState(s credentials.State) *Credential {
	c := *o
	c.State = s
	return &c
}

// Hidden lists the secret texts of a credential.
func (o *Credential) Hidden() []string {
	var values []string
	for name, text := range o.Secret {
		values = append(values, o.SecretTexts(name, text)...)
	}
	return values
}

// SecretTexts lists what is secret in a field: the text, or each value of a map.
func (o *Credential) SecretTexts(name string, text secret.Text) []string {
	if f := o.AuthType.Field(name); f != nil && f.Kind == authtype.KindMap {
		return slices.Collect(maps.Values(o.Map(name)))
	}
	return []string{text.Reveal()}
}

// MainFingerprint names the secret that makes the credential what it is.
func (o *Credential) MainFingerprint() string {
	for _, f := range o.AuthType.Fields {
		if f.Secret && o.Secrets[f.Name].Set {
			return o.Secrets[f.Name].Fingerprint
		}
	}
	return ""
}

// Failed makes the error of a use of o.
func (o *Credential) Failed(code string, cause error, format string, args ...any) *credentials.Error {
	return &credentials.Error{Code: code, ID: o.ID, Message: fmt.Sprintf(format, args...), Err: cause}
}
