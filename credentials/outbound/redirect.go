package outbound

import (
	"net/http"
	"net/url"
	"strings"

	"keyflow/internal/secret"
)

// maskedTarget marks the request of an answer whose Location contained a secret.
type maskedTarget struct{}

// hasMaskedTarget reports whether a redirect leads to a URL in which a secret is masked. Where the
// credential itself puts the secret into the URL, it is not.
func hasMaskedTarget(req *http.Request, u *url.URL) bool {
	if req.Response == nil || req.Response.Request == nil || req.Response.Request.Context().Value(maskedTarget{}) == nil {
		return false
	}
	query, err := url.QueryUnescape(u.RawQuery)
	return err != nil || strings.Contains(u.Path+"\n"+query, secret.Mask)
}
