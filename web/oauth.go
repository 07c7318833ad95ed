package web

import (
	"crypto/rand"
	"html/template"
	"net/http"

	"keyflow/credentials"
	"keyflow/internal/fault"
)

// callbackPage ends an OAuth connect in front of a person. The script tells the tab that
// began it and closes the window when all went well; an error stays until it was read.
const callbackPage = `<!doctype html>
<html lang="en" data-credential="{{.Credential}}" data-ok="{{.OK}}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{{.Title}} - Keyflow</title>
<style nonce="{{.Nonce}}">body{font:16px/1.5 system-ui,sans-serif;max-width:36rem;margin:15vh auto;padding:0 1rem}small{opacity:.7}</style>
</head>
<body>
<main>
<h1>{{.Title}}</h1>
<p>{{.Message}}</p>
{{if not .OK}}<p><small>Request {{.RequestID}}</small></p>{{end}}
<p><a href="{{.Home}}">Back to Keyflow</a></p>
</main>
<script src="{{.Script}}"></script>
</body>
</html>
`

type callbackData struct {
	Credential, Title, Message, RequestID string
	Nonce, Home, Script                   string
	OK                                    bool
}

// oauthCallback ends the connect that this browser session began. The query holds a code:
// it is never logged and never shown.
func (s *server) oauthCallback(w http.ResponseWriter, r *http.Request) {
	who, err := s.session.Authenticate(r.Context(), r)
	if err == nil && who.Session == "" {
		err = fault.New(fault.Unauthenticated, "connecting needs the browser session that began it, not an API token")
	}
	var c credentials.Credential
	if err == nil {
		requestFrom(r.Context()).who = who
		c, err = s.credentials.Callback(r.Context(), who.Caller, who.Session, r.URL.Query())
	}
	s.showCallback(w, r, c, err)
}

func (s *server) showCallback(w http.ResponseWriter, r *http.Request, c credentials.Credential, err error) {
	data := callbackData{
		Credential: string(c.ID), OK: err == nil,
		Title: "Connected", Message: "Credential " + string(c.ID) + " is connected. This window can be closed.",
		Nonce: rand.Text(), Home: s.base + "/credentials", Script: s.base + "/oauth-callback.js",
	}
	status := http.StatusOK
	if err != nil {
		p := problem(r.Context(), err)
		s.logFailure(r.Context(), p, err)
		status, data.Title, data.Message, data.RequestID = p.Status, "Not connected", p.Detail, p.RequestID
	}
	s.showPage(w, status, s.callbackTemplate, data.Nonce, data)
}

// showPage renders one of the pages that are not part of the admin page's own files.
func (s *server) showPage(w http.ResponseWriter, status int, t *template.Template, nonce string, data any) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'nonce-"+nonce+
		"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	w.WriteHeader(status)
	if err := t.Execute(w, data); err != nil {
		s.log.Debug("page was not sent to its end", "error", err)
	}
}
