package credentials

import (
	"context"
	"encoding/json"
	"net/url"
	"time"

	"keyflow/internal/secret"
)

// opened is the current version of one credential with its secrets decrypted. It is
// immutable and shared by everyone who uses the credential.
type opened struct {
	Credential
	typ     *Type
	plain   map[string]string // texts of the fields that are not secret, defaults included
	secrets map[string]secret.Text
	key     secret.Text // of fingerprints
	grant   int64       // see Record.Grant
}

// text returns a field, secret or not, as text; "" when absent.
func (o *opened) text(field string) string {
	if s, ok := o.secrets[field]; ok {
		return s.Reveal()
	}
	return o.plain[field]
}

// flag reports whether a boolean field is true.
func (o *opened) flag(field string) bool { return o.text(field) == "true" }

// stringMap returns a field of kind map; nil when absent.
func (o *opened) stringMap(field string) map[string]string {
	text := o.text(field)
	if text == "" {
		return nil
	}
	var m map[string]string
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		return nil
	}
	return m
}

// allowsHost reports whether requests with this credential may go to u.
func (o *opened) allowsHost(u *url.URL) bool {
	return o.Type == TypeNoAuth && len(o.AllowedHosts) == 0 || allowedHost(o.AllowedHosts, u)
}

// allowsWorkflow reports whether this workflow may use the credential.
func (o *opened) allowsWorkflow(folder, workflow string) bool {
	return allowedWorkflow(o.AllowedWorkflows, folder, workflow)
}

// open returns the credential as it is now: every edit that had returned before the call is
// seen, in every process (promise P1). It is *Error credential_unknown when missing.
func (v *Vault) open(ctx context.Context, id ID) (*opened, error) {
	return nil, unknown(id)
}

// setState stores a state if the record is still at seen's revision; otherwise it does nothing.
func (v *Vault) setState(ctx context.Context, id ID, seen *opened, s Status, message string) error {
	return nil
}

// touch notes that the credential was used. It does not block: Serve and Close write it.
func (v *Vault) touch(id ID, now time.Time) {}
