package page

import (
	"net/http"
)

// Begin writes the head of a page that is not part of the admin page's own files; its style has
// the nonce.
func Begin(w http.ResponseWriter, status int, nonce string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'nonce-"+nonce+
		"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	w.WriteHeader(status)
}
