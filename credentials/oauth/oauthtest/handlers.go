package oauthtest

import (
	"encoding/json"
	"html/template"
	"net/http"
	"strings"

	"github.com/ory/fosite"
)

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/authorize", s.authorize)
	mux.HandleFunc("/token", s.token)
	mux.HandleFunc("/resource", s.resource)
	return mux
}

var consentPage = template.Must(template.New("consent").Parse(`<!doctype html>
<title>Allow access?</title>
<h1>{{.}} wants to act for you</h1>
<form method="post"><button name="consent" value="allow" id="allow">Allow</button>
<button name="consent" value="deny" id="deny">Deny</button></form>
`))

func (s *Server) authorize(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	request, err := s.provider.NewAuthorizeRequest(ctx, r)
	if err != nil {
		s.provider.WriteAuthorizeError(ctx, w, request, err)
		return
	}
	if s.options.Consent {
		switch r.PostFormValue("consent") {
		case "allow":
		case "deny":
			s.provider.WriteAuthorizeError(ctx, w, request, fosite.ErrAccessDenied)
			return
		default:
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			_ = consentPage.Execute(w, s.ClientID) // a reader that went away is not our problem
			return
		}
	}
	for _, scope := range request.GetRequestedScopes() {
		request.GrantScope(scope)
	}
	response, err := s.provider.NewAuthorizeResponse(ctx, request, s.newSession())
	if err != nil {
		s.provider.WriteAuthorizeError(ctx, w, request, err)
		return
	}
	s.provider.WriteAuthorizeResponse(ctx, w, request, response)
}

func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	seen := &statusWriter{ResponseWriter: w, status: http.StatusOK}
	_ = r.ParseForm() // fosite reports what is wrong with it
	s.mu.Lock()
	gate := s.delay
	var fail *failure
	if len(s.failures) > 0 {
		fail, s.failures = &s.failures[0], s.failures[1:]
	}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.requests = append(s.requests, TokenRequest{
			Method: r.Method, Header: r.Header.Clone(), Query: r.URL.RawQuery, Form: r.PostForm, Status: seen.status,
		})
	}()
	if gate != nil {
		select {
		case <-gate:
		case <-r.Context().Done():
			return
		}
	}
	if fail != nil {
		seen.Header().Set("Content-Type", fail.contentType)
		seen.WriteHeader(fail.status)
		_, _ = seen.Write([]byte(fail.body)) // a client that went away is not our problem
		return
	}
	s.grant(seen, r)
}

func (s *Server) grant(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	now := s.newSession()
	request, err := s.provider.NewAccessRequest(ctx, r, s.newSession())
	if err != nil {
		s.provider.WriteAccessError(ctx, w, request, err)
		return
	}
	if given, ok := request.GetSession().(*session); ok {
		if request.GetGrantTypes().ExactOne("refresh_token") && given.RefreshEpoch != now.RefreshEpoch {
			s.provider.WriteAccessError(ctx, w, request, fosite.ErrInvalidGrant.WithHint("The grant was revoked."))
			return
		}
		given.Epoch, given.RefreshEpoch = now.Epoch, now.RefreshEpoch
	}
	if request.GetGrantTypes().ExactOne("client_credentials") {
		for _, scope := range request.GetRequestedScopes() {
			request.GrantScope(scope)
		}
	}
	response, err := s.provider.NewAccessResponse(ctx, request)
	if err != nil {
		s.provider.WriteAccessError(ctx, w, request, err)
		return
	}
	s.provider.WriteAccessResponse(ctx, w, request, response)
}

// resource answers what it knows of the caller, and echoes what it was sent, as careless
// services do.
func (s *Server) resource(w http.ResponseWriter, r *http.Request) {
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	if token == "" {
		token = r.URL.Query().Get("access_token")
	}
	_, request, err := s.provider.IntrospectToken(r.Context(), token, fosite.AccessToken, &session{DefaultSession: &fosite.DefaultSession{}})
	valid := err == nil
	if valid {
		given, ok := request.GetSession().(*session)
		valid = ok && given.Epoch == s.newSession().Epoch
	}
	w.Header().Set("Content-Type", "application/json")
	if !valid {
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		w.WriteHeader(http.StatusUnauthorized)
		_ = json.NewEncoder(w).Encode(map[string]any{"error": "invalid_token", "seen": r.Header.Get("Authorization")})
		return
	}
	s.mu.Lock()
	s.calls++
	n := s.calls
	s.mu.Unlock()
	_ = json.NewEncoder(w).Encode(map[string]any{
		"ok": true, "call": n, "client_id": request.GetClient().GetID(),
		"scope": strings.Join(request.GetGrantedScopes(), " "),
		"seen":  map[string]any{"headers": r.Header, "url": r.URL.String()},
	})
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}
