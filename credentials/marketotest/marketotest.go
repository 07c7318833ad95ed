// Package marketotest is a stand-in for Adobe Marketo's identity and REST endpoints, written
// from their public documentation ("REST authentication", "Error codes", "Integration best
// practices"): tokens by GET or POST, the same token with what is left of its life when asked
// early, and errors inside answers with HTTP status 200. It knows nothing of Keyflow.
package marketotest

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// The error codes of REST answers.
const (
	Invalid     = "601" // the access token is not known
	Expired     = "602" // the access token has ended
	Denied      = "603" // the user of the service may not do this
	TooMany     = "606" // calls within the span of the rate limit
	Quota       = "607" // the day's calls are used up
	TooManyOnce = "615" // calls at the same moment
)

// Options change the stand-in. The zero value is Marketo without limits.
type Options struct {
	Now         func() time.Time // nil: time.Now
	Lifetime    time.Duration    // of a new token; 0: 3600 s
	Calls       int              // in any span of Per; 0: any number
	Per         time.Duration
	Concurrency int           // calls at the same moment; 0: any number
	Latency     time.Duration // of a call
}

// Server is the stand-in. It is safe for concurrent use.
type Server struct {
	URL      string // of the REST base, ends in /rest
	TokenURL string // ends in /identity/oauth/token
	ClientID string
	Host     string

	o      Options
	server *httptest.Server

	mu        sync.Mutex
	secret    string
	token     string
	end       time.Time
	expiresIn func() string // raw JSON instead of the life that is left; "" leaves it out
	answers   []string      // codes of the next calls
	always    string        // code of every call
	before    func()        // runs in the next call, before it is judged
	gate      chan struct{} // token requests wait for it
	tokens    []TokenRequest
	calls     []Call
	times     []time.Time // of the calls that count
	running   int
	peak      int
}

// TokenRequest is one request for a token and the status that it got.
type TokenRequest struct {
	Method string
	Status int
}

// Call is one REST call. Code is "" for a success.
type Call struct {
	Path string
	Code string
}

// New starts the stand-in; it ends with the test.
func New(tb testing.TB, o Options) *Server {
	tb.Helper()
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Lifetime == 0 {
		o.Lifetime = time.Hour
	}
	s := &Server{o: o, ClientID: "client-4711", secret: "marketo-secret-4711"}
	mux := http.NewServeMux()
	mux.HandleFunc("/identity/oauth/token", s.identity)
	mux.HandleFunc("/rest/", s.rest)
	s.server = httptest.NewServer(mux)
	tb.Cleanup(s.server.Close)
	s.URL, s.TokenURL = s.server.URL+"/rest", s.server.URL+"/identity/oauth/token"
	s.Host = strings.TrimPrefix(s.server.URL, "http://")
	return s
}

// Secret is the client secret that is valid now.
func (s *Server) Secret() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.secret
}

// ChangeSecret replaces the client secret and ends the token, as a new custom service does.
func (s *Server) ChangeSecret(secret string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.secret, s.end = secret, s.o.Now()
}

// Expire ends the token at its time.
func (s *Server) Expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end = s.o.Now()
}

// Revoke makes the token unknown before its time.
func (s *Server) Revoke() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.token = ""
}

// ExpiresIn makes token answers say raw (JSON) for expires_in; "" leaves it out.
func (s *Server) ExpiresIn(raw string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expiresIn = func() string { return raw }
}

// Answer lets the next calls fail with these codes, one each; "" is no failure.
func (s *Server) Answer(codes ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers = append(s.answers, codes...)
}

// AnswerAlways lets every call fail with a code; "" ends that.
func (s *Server) AnswerAlways(code string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.always = code
}

// BeforeNext runs do while the next call is under way, before it is judged.
func (s *Server) BeforeNext(do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before = do
}

// Hold makes token requests wait until release.
func (s *Server) Hold() (release func()) {
	gate := make(chan struct{})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gate = gate
	return sync.OnceFunc(func() { close(gate) })
}

// TokenRequests lists the requests for tokens so far.
func (s *Server) TokenRequests() []TokenRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]TokenRequest(nil), s.tokens...)
}

// Calls lists the REST calls so far.
func (s *Server) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Call(nil), s.calls...)
}

// Codes counts the calls so far by their code.
func (s *Server) Codes() map[string]int {
	codes := make(map[string]int)
	for _, c := range s.Calls() {
		codes[c.Code]++
	}
	return codes
}

// Peak is the largest number of calls at the same moment.
func (s *Server) Peak() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.peak
}

// identity answers a token request. Parameters may be in the query (GET) or the form (POST).
func (s *Server) identity(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	gate := s.gate
	s.mu.Unlock()
	if gate != nil {
		<-gate
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	status, answer := s.grant(r)
	s.tokens = append(s.tokens, TokenRequest{r.Method, status})
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(answer) // the client may be gone
}

func (s *Server) grant(r *http.Request) (int, []byte) {
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		return http.StatusMethodNotAllowed, nil
	}
	if r.FormValue("grant_type") != "client_credentials" {
		return http.StatusBadRequest, []byte(`{"error":"unsupported_grant_type"}`)
	}
	if r.FormValue("client_id") != s.ClientID || r.FormValue("client_secret") != s.secret {
		return http.StatusUnauthorized, []byte(`{"error":"invalid_client","error_description":"Bad client credentials"}`)
	}
	now := s.o.Now()
	if s.token == "" || !now.Before(s.end) {
		s.token, s.end = rand.Text()+":sj", now.Add(s.o.Lifetime)
	}
	fields := map[string]any{"access_token": s.token, "token_type": "bearer", "scope": "service@example.com"}
	if s.expiresIn == nil {
		fields["expires_in"] = int(s.end.Sub(now) / time.Second)
	} else if raw := s.expiresIn(); raw != "" {
		fields["expires_in"] = json.RawMessage(raw)
	}
	if raw, ok := fields["expires_in"].(json.RawMessage); ok && !json.Valid(raw) {
		return http.StatusInternalServerError, nil
	}
	answer, err := json.Marshal(fields)
	if err != nil {
		return http.StatusInternalServerError, nil
	}
	return http.StatusOK, answer
}

// rest answers a REST call.
func (s *Server) rest(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.running++
	s.peak = max(s.peak, s.running)
	before := s.before
	s.before = nil
	s.mu.Unlock()
	if before != nil {
		before()
	}
	if s.o.Latency > 0 {
		time.Sleep(s.o.Latency) // a call takes time: it is what the concurrency limit counts
	}
	s.mu.Lock()
	code := s.judge(r)
	s.calls = append(s.calls, Call{r.URL.Path, code})
	s.running--
	s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if code != "" {
		_, _ = fmt.Fprintf(w, `{"requestId":"e42b#14272d07d78","success":false,"errors":[{"code":%q,"message":"error %s"}]}`, code, code)
		return
	}
	_, _ = fmt.Fprint(w, `{"requestId":"e42b#14272d07d78","success":true,"result":[{"id":1}]}`)
}

// judge returns the code of a call, "" for a success. s.mu is held.
func (s *Server) judge(r *http.Request) string {
	now := s.o.Now()
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	switch {
	case token == "" || token != s.token:
		return Invalid
	case !now.Before(s.end):
		return Expired
	case s.always != "":
		return s.always
	case len(s.answers) > 0:
		code := s.answers[0]
		s.answers = s.answers[1:]
		if code != "" {
			return code
		}
	}
	s.times = append(s.times, now)
	for len(s.times) > 0 && s.o.Per > 0 && !s.times[0].After(now.Add(-s.o.Per)) {
		s.times = s.times[1:]
	}
	switch {
	case s.o.Calls > 0 && len(s.times) > s.o.Calls:
		return TooMany
	case s.o.Concurrency > 0 && s.running > s.o.Concurrency:
		return TooManyOnce
	}
	return ""
}
