package outbound

import (
	"fmt"
	"net/http"

	"keyflow/credentials/internal/decrypted"
	"keyflow/credentials/internal/throttle"
	"keyflow/credentials/token"
)

// exchange is one request on the wire, and what it was sent with.
type exchange struct {
	credential    *decrypted.Credential // nil for a redirect without authentication
	token         *token.Cached         // nil for types without
	authenticator *authenticator
	res           *http.Response   // redacted
	permit        *throttle.Permit // nil without limits
}

// done ends the use of s: its body has been read, or there is none.
func (s *exchange) done() {
	if s.permit != nil {
		s.permit.Release()
	}
}

func (s *exchange) accessToken() string {
	if s.token == nil {
		return ""
	}
	return s.token.Access.Reveal()
}

func (s *exchange) refusal() string {
	return fmt.Sprintf("%s refused the credential %q (status %d)", s.res.Request.URL.Host, s.credential.ID, s.res.StatusCode)
}
