// Package oauth serves the redirect URL of OAuth connections: the page to which a provider sends the
// browser back.
//
// The query holds a code: it is never logged and never shown. The package must not know providers.
package oauth

import (
	"context"
	"crypto/rand"
	"html/template"
	"net/http"
	"net/url"

	"keyflow/credentials"
	"keyflow/internal/fault"
	"keyflow/internal/identity"
	"keyflow/web/page"
	"keyflow/web/problem"
	"keyflow/web/request"
	"keyflow/web/session"
)

// Connects ends a connection with what the provider sent back; the session must be the one that
// began it.
type Connects interface {
	Callback(ctx context.Context, caller identity.Caller, session string, query url.Values) (credentials.Credential, error)
}

// Callback is the handler of credentials.CallbackPath.
type Callback struct {
	Session     *session.Service
	Credentials Connects
	Base        string // the public URL's path, without a slash at its end
	Problems    problem.Responder
}

// callbackPage shows the result of an OAuth connection. Its script notifies the tab that began the
// connection and closes the window on success; an error stays on the screen.
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

// ServeHTTP implements http.Handler. It ends the connection that this browser session began.
func (c *Callback) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	who, err := c.Session.Authenticate(r.Context(), r)
	if err == nil && who.Session == "" {
		err = fault.New(fault.Unauthenticated, "connecting needs the browser session that began it, not an API token")
	}
	var connected credentials.Credential
	if err == nil {
		request.From(r.Context()).Who = who
		connected, err = c.Credentials.Callback(r.Context(), who.Caller, who.Session, r.URL.Query())
	}
	c.show(w, r, connected, err)
}

func (c *Callback) show(w http.ResponseWriter, r *http.Request, connected credentials.Credential, err error) {
	data := callbackData{
		Credential: string(connected.ID), OK: err == nil,
		Title: "Connected", Message: "Credential " + string(connected.ID) + " is connected. This window can be closed.",
		Nonce: rand.Text(), Home: c.Base + "/credentials", Script: c.Base + "/oauth-callback.js",
	}
	status := http.StatusOK
	if err != nil {
		p := problem.From(r.Context(), err)
		c.Problems.Report(r.Context(), p, err)
		status, data.Title, data.Message, data.RequestID = p.Status, "Not connected", p.Detail, p.RequestID
	}
	page.Begin(w, status, data.Nonce)
	if err := template.Must(template.New("callback").Parse(callbackPage)).Execute(w, data); err != nil {
		c.Problems.Logger.Debug("page was not sent to its end", "error", err)
	}
}
