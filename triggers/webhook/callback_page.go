package webhook

import (
	"bytes"
	"crypto/rand"
	"html/template"
	"net/http"
	"strings"
)

// callbackPage is what a person who opens a callback URL sees. It needs no script.
const callbackPage = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{{.Title}} - Keyflow</title>
<style nonce="{{.Nonce}}">body{font:16px/1.5 system-ui,sans-serif;max-width:36rem;margin:15vh auto;padding:0 1rem}button{font:inherit;padding:.5rem 1.5rem}</style>
</head>
<body>
<main>
<h1>{{.Title}}</h1>
<p>{{.Text}}</p>
{{if .Button}}<form method="post"><button type="submit">{{.Button}}</button></form>{{end}}
</main>
</body>
</html>
`

// callbackText is what a callback page says.
type callbackText struct{ Title, Text, Button string }

func callbackTextOf(status int) callbackText {
	switch status {
	case http.StatusOK:
		return callbackText{"Confirm", "A workflow waits for this confirmation. Opening this page has confirmed nothing.", "Confirm"}
	case http.StatusAccepted:
		return callbackText{"Confirmed", "The workflow continues. This window can be closed.", ""}
	default:
		return callbackText{"Nothing to confirm", "This address was called before, or no step waits for it now.", ""}
	}
}

// wantsPage reports whether a person's browser asks.
func wantsPage(r *http.Request) bool { return strings.Contains(r.Header.Get("Accept"), "text/html") }

// showCallbackPage answers with a page whose only power is to send its form to its own address.
func showCallbackPage(w http.ResponseWriter, r *http.Request, status int) {
	nonce := rand.Text()
	var page bytes.Buffer
	err := template.Must(template.New("callback").Parse(callbackPage)).Execute(&page, struct {
		callbackText
		Nonce string
	}{callbackTextOf(status), nonce})
	if err != nil {
		refuse(w, http.StatusInternalServerError, "internal error")
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "sandbox allow-forms; default-src 'none'; style-src 'nonce-"+nonce+
		"'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(page.Bytes()) // the caller may have gone
	}
}
