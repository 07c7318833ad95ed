package credentials

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net/http"
	"strings"

	"keyflow/internal/fault"
)

// Verify checks an inbound webhook against a basic_auth or api_key credential, in constant
// time. verified names the headers and query keys that held the secret; they are not for the
// run's input. Errors: *Error (unknown, workflow not allowed), an Unauthenticated fault when
// the request does not prove itself, Invalid when the type cannot verify or no secret is set.
func (v *Vault) Verify(ctx context.Context, id ID, workflow, folder string, r *http.Request, body []byte) (verified []string, err error) {
	o, err := v.open(ctx, id)
	if err != nil {
		return nil, err
	}
	if !o.allowsWorkflow(folder, workflow) {
		return nil, &Error{
			Code: CodeWorkflowNotAllowed, ID: id,
			Message: fmt.Sprintf("credential %q may not be used by %s: its allowed_workflows are %s",
				id, strings.TrimSuffix(folder, "/")+"/"+workflow, listOf(o.AllowedWorkflows)),
		}
	}
	var ok bool
	switch o.Type {
	case TypeBasicAuth:
		if !o.holdsSecret() { // a password may be empty for calls; here it would let everyone in
			return nil, fault.New(fault.Invalid, "%s", noSecret(id))
		}
		ok, verified = verifyBasic(o, r), []string{"Authorization"}
	case TypeAPIKey:
		ok, verified = verifyKey(o, r)
	default:
		return nil, fault.New(fault.Invalid, "credential %q is of type %s; inbound webhooks are verified by basic_auth or api_key", id, o.Type)
	}
	if !ok {
		return nil, fault.New(fault.Unauthenticated, "the request does not carry the right credential")
	}
	v.touch(id, v.now())
	return verified, nil
}

// holdsSecret reports whether any secret field has a value that is not empty.
func (o *opened) holdsSecret() bool {
	for _, text := range o.secrets {
		if text.Reveal() != "" {
			return true
		}
	}
	return false
}

func noSecret(id ID) string {
	return fmt.Sprintf("credential %q holds no secret, so whoever knows the user name would be let in; give it a password to verify webhooks with", id)
}

func verifyBasic(o *opened, r *http.Request) bool {
	username, password, sent := r.BasicAuth()
	// Both are compared whatever the first says.
	sameName, samePassword := sameText(username, o.text("username")), sameText(password, o.text("password"))
	return sent && len(r.Header.Values("Authorization")) == 1 && sameName&samePassword == 1
}

func verifyKey(o *opened, r *http.Request) (bool, []string) {
	key := o.text("key")
	var got []string
	held := key
	switch o.text("in") {
	case inQuery:
		got = r.URL.Query()[key]
	case inCookie:
		held = "Cookie"
		for _, c := range r.CookiesNamed(key) {
			got = append(got, c.Value)
		}
	default:
		held = http.CanonicalHeaderKey(key)
		got = r.Header.Values(key)
	}
	// More than one value is refused: another reader of the request might take the other.
	return len(got) == 1 && sameText(got[0], o.text("prefix")+o.text("value")) == 1, []string{held}
}

// sameText compares in a time that tells neither content nor length; 1 is equal.
func sameText(a, b string) int {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:])
}
