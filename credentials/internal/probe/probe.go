// Package probe tries a credential, saved or not: it obtains a token and sends one request to the
// test URL, through the same code as a run, and describes the exchange without a secret.
package probe

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"keyflow/credentials"
	"keyflow/credentials/authtype"
	"keyflow/credentials/internal/access"
	"keyflow/credentials/internal/decrypted"
	"keyflow/credentials/internal/editing"
	"keyflow/credentials/internal/problem"
	"keyflow/credentials/internal/status"
	"keyflow/credentials/oauth"
	"keyflow/credentials/outbound"
	"keyflow/credentials/token"
	"keyflow/internal/egress"
	"keyflow/internal/identity"
)

// Timeout bounds one test with all its requests.
const Timeout = 30 * time.Second

const (
	testBody     = 4 << 10         // of an answer in a trace
	clockWarning = 2 * time.Minute // difference of clocks worth mentioning
)

// trace is what a test shows of its requests; every secret in it is replaced.
type trace struct {
	TokenRequests []oauth.Exchange `json:"token_requests,omitempty"`
	Request       *tracedRequest   `json:"request,omitempty"`
	Answer        *tracedAnswer    `json:"answer,omitempty"`
	Rule          string           `json:"rule,omitempty"` // the failure rule that matched
	ClockSkew     string           `json:"clock_skew,omitempty"`
}

type tracedRequest struct {
	Method string `json:"method"`
	URL    string `json:"url"`
	// Authentication names where the credential went, without its value.
	Authentication string `json:"authentication"`
}

type tracedAnswer struct {
	Status  int            `json:"status"`
	Headers map[string]any `json:"headers"`
	Body    any            `json:"body"` // at most 4 KiB
}

// Prober tries credentials.
type Prober struct {
	Base     http.RoundTripper
	Reader   *decrypted.Reader
	Resolver *outbound.Resolver
	Tokens   *token.Tokens
	Provider *token.Provider
	States   *status.States
	Now      func() time.Time
	Log      *slog.Logger
}

// Tests tries credentials for people.
type Tests struct {
	Prober *Prober
	Editor *editing.Editor
	Gate   *access.Gate
}

// test is one test under way.
type test struct {
	prober     *Prober
	credential *decrypted.Credential
	draft      bool
	trace      trace
	result     credentials.TestResult
}

// Test tries a credential: oauth2 obtains a token; with a test_url a request is sent there
// through the same path as in a run. What the provider says is a result, not an error;
// errors are NotFound and Forbidden. The state of the credential follows the result.
func (t *Tests) Test(ctx context.Context, caller identity.Caller, id credentials.ID) (credentials.TestResult, error) {
	o, err := t.Gate.Current(ctx, caller, identity.ManageCredentials, id)
	if err != nil {
		return credentials.TestResult{}, err
	}
	return t.Prober.Saved(ctx, o)
}

// Saved tests a credential that is stored; its state follows the result.
func (p *Prober) Saved(ctx context.Context, o *decrypted.Credential) (credentials.TestResult, error) {
	t := &test{prober: p, credential: o}
	t.run(ctx)
	if now, err := p.Reader.Open(ctx, o.ID); err == nil {
		t.result.Status = now.State.Status
	}
	return t.finish()
}

// TestInput tries values that are not saved; nothing is stored. Secret fields that are absent
// come from the stored credential of the same id, unless the values could send them somewhere
// new. Errors: Invalid with every problem, Forbidden.
func (t *Tests) TestInput(ctx context.Context, caller identity.Caller, in credentials.Input) (credentials.TestResult, error) {
	o, err := t.Editor.Draft(ctx, caller, in)
	if err != nil {
		return credentials.TestResult{}, err
	}
	return t.Prober.Draft(ctx, o)
}

// Draft tests values that no run uses; nothing is stored.
func (p *Prober) Draft(ctx context.Context, o *decrypted.Credential) (credentials.TestResult, error) {
	t := &test{prober: p, credential: o, draft: true}
	t.run(ctx)
	t.result.Status = credentials.Untested
	if t.result.OK {
		t.result.Status = credentials.OK
	}
	return t.finish()
}

func (t *test) finish() (credentials.TestResult, error) {
	text, err := json.Marshal(t.trace)
	t.result.Trace = text
	return t.result, err
}

func (t *test) run(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	full, err := t.prober.Reader.Resolved(ctx, t.credential)
	if err != nil {
		t.fail(problem.Message(err), "Correct the secret at its source, or enter the value here, and test again.")
		return
	}
	t.credential = full
	if t.credential.AuthType.Renews && !t.token(ctx) {
		return
	}
	switch {
	case t.credential.TestURL != "":
		t.request(ctx)
	case t.credential.AuthType.Renews:
	case t.credential.Type == credentials.TypeNoAuth:
		t.pass("There is nothing to test: no secret is sent.")
	default:
		t.fail("The credential has no test URL, so nothing was sent.", "Enter a URL of the service that needs this credential and changes nothing, and test again.")
	}
}

func (t *test) pass(message string) { t.result.OK, t.result.Message = true, message }

func (t *test) fail(message, suggestion string) {
	t.result.OK, t.result.Message, t.result.Suggestion = false, message, suggestion
}

// token obtains a token and reports whether the test goes on.
func (t *test) token(ctx context.Context) bool {
	o := t.credential
	if o.Text("grant_type") == authtype.AuthorizationCode {
		return t.connected(ctx)
	}
	client := t.prober.Provider.Client()
	client.Observe = func(e oauth.Exchange) { t.trace.TokenRequests = append(t.trace.TokenRequests, e) }
	cfg := t.prober.Provider.Config(o)
	token, err := client.ClientCredentials(ctx, cfg)
	t.compareClocks()
	if err == nil {
		t.pass("The provider gave a token" + lifetimeOf(token) + ".")
		if !t.draft {
			t.adopt(ctx, token)
		}
		return true
	}
	t.fail(problem.Message(err), "")
	e, ok := errors.AsType[*oauth.Error](err)
	if !ok || e.Kind == oauth.Transient {
		t.result.Suggestion = "Check the access token URL, and whether this server may and can reach it (egress rules, network); then test again."
		return false
	}
	if !t.draft {
		t.prober.States.Report(ctx, o, credentials.Refused, e.Message)
	}
	t.result.Suggestion = "Check client ID, client secret and scope at the provider."
	if other, works := tryOtherAuth(ctx, client, cfg); works {
		t.result.Suggestion = fmt.Sprintf("The provider refuses the client authentication %q; %q works.", cfg.ClientAuth, other)
	}
	return false
}

// tryOtherAuth asks once more with the client's secret in the other usual place. Only the
// client credentials grant allows that: it spends nothing.
func tryOtherAuth(ctx context.Context, client *oauth.Client, cfg oauth.Config) (oauth.ClientAuth, bool) {
	switch cfg.ClientAuth {
	case oauth.AuthHeader:
		cfg.ClientAuth = oauth.AuthBody
	case oauth.AuthBody:
		cfg.ClientAuth = oauth.AuthHeader
	default:
		return "", false
	}
	_, err := client.ClientCredentials(ctx, cfg)
	return cfg.ClientAuth, err == nil
}

// adopt lets later requests use the token that the test got.
func (t *test) adopt(ctx context.Context, token oauth.Token) {
	if err := t.prober.Tokens.Put(ctx, t.credential, token); err != nil {
		t.prober.Log.WarnContext(ctx, "token of a test not stored", "credential", t.credential.ID, "error", err)
		return
	}
	t.prober.States.Report(ctx, t.credential, credentials.OK, "")
}

// connected renews the token obtained by a person's sign-in.
func (t *test) connected(ctx context.Context) bool {
	const press = "Press Connect and sign in at the provider."
	if t.draft {
		t.fail("Values that are not saved cannot be connected.", "Save the credential, then press Connect.")
		return false
	}
	before, _, err := t.prober.Tokens.Read(ctx, t.credential.ID)
	switch {
	case err != nil:
		t.fail(problem.Message(err), "")
	case !before.Fits(t.credential):
		t.fail("The credential is not connected.", press)
	case !before.Refresh.IsSet() && before.Expired(t.prober.Now()):
		t.fail("The token has ended and the provider gave no refresh token.", press)
	case !before.Refresh.IsSet():
		t.pass("The credential is connected" + lifetimeOf(before.Token) + "; the provider gave no refresh token.")
		return true
	default:
		next, err := t.prober.Tokens.RenewNow(ctx, t.credential)
		if err == nil {
			t.pass("The token was renewed" + lifetimeOf(next.Token) + ".")
			return true
		}
		t.fail(problem.Message(err), press)
	}
	return false
}

// request sends a GET to test_url as a run would.
func (t *test) request(ctx context.Context) {
	rt := &outbound.Transport{Resolver: t.prober.Resolver, Base: t.prober.Base, Draft: t.draft, Use: credentials.Use{ID: t.credential.ID, MaxRedirects: 3, Park: true}}
	rt.Open = func(ctx context.Context) (*decrypted.Credential, error) {
		if t.draft {
			return t.credential, nil
		}
		return t.prober.Reader.Open(ctx, t.credential.ID)
	}
	client := egress.NewClient(rt, egress.ClientOptions{MaxRedirects: rt.Use.MaxRedirects, KeepAuth: rt.KeepsAuth})
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, t.credential.TestURL, nil)
	if err != nil {
		t.fail("The test URL is not usable.", "Correct the test URL.")
		return
	}
	req.Header.Set("User-Agent", "keyflow")
	t.trace.Request = &tracedRequest{Method: req.Method, URL: t.credential.TestURL, Authentication: authenticationOf(t.credential)}
	res, err := client.Do(req)
	if err != nil {
		t.requestFailed(rt, err)
		return
	}
	defer func() { _ = res.Body.Close() }() // it has been read
	body, err := io.ReadAll(io.LimitReader(res.Body, testBody))
	if err != nil {
		t.fail("The answer broke off: "+problem.Message(err), "")
	}
	t.answered(&credentials.Answer{Status: res.StatusCode, Header: res.Header, Body: body})
	switch {
	case err != nil:
	case res.StatusCode < http.StatusBadRequest:
		t.pass(fmt.Sprintf("%s answered with status %d.", res.Request.URL.Host, res.StatusCode))
	case res.StatusCode == http.StatusForbidden:
		t.fail("The service knows the credential but does not allow this (status 403).", "Check its rights, or test with another URL.")
	default:
		t.fail(fmt.Sprintf("%s answered with status %d, which says nothing about the credential.", res.Request.URL.Host, res.StatusCode), "Check the test URL.")
	}
}

func (t *test) requestFailed(rt *outbound.Transport, err error) {
	e, ok := errors.AsType[*credentials.Error](err)
	if !ok {
		t.fail("The request failed: "+problem.Message(err), "")
		return
	}
	if e.Code == credentials.CodeLimit {
		t.fail("Nothing was sent: the limits of the credential are used up until about "+e.Until.UTC().Format(time.RFC3339)+".", "Test again then, or raise the limits.")
		return
	}
	t.fail(e.Message, "")
	if e.Answer == nil {
		return
	}
	t.answered(e.Answer)
	t.result.Suggestion = "Enter the secret again, and check at the service that it is still valid."
	res := &http.Response{StatusCode: e.Answer.Status, Header: e.Answer.Header, Body: io.NopCloser(bytes.NewReader(e.Answer.Body))}
	if k := rt.Last.Load(); k != nil {
		if verdict := k.Rules.Match(context.Background(), res); verdict != nil {
			t.trace.Rule = verdict.Description
		}
	}
}

func (t *test) answered(a *credentials.Answer) {
	data := a.Data()
	headers, _ := data["headers"].(map[string]any)
	body := data["body"]
	if len(a.Body) > testBody {
		body = string(a.Body[:testBody])
	}
	t.trace.Answer = &tracedAnswer{Status: a.Status, Headers: headers, Body: body}
}

// compareClocks mentions a clock that would make tokens look expired, or valid for too long.
func (t *test) compareClocks() {
	if len(t.trace.TokenRequests) == 0 {
		return
	}
	theirs, err := http.ParseTime(t.trace.TokenRequests[0].Date)
	if err != nil {
		return
	}
	if skew := t.prober.Now().Sub(theirs); skew.Abs() > clockWarning {
		t.trace.ClockSkew = skew.Round(time.Second).String()
	}
}

func authenticationOf(o *decrypted.Credential) string {
	if o.AuthType.Placement == nil {
		return "none"
	}
	return o.AuthType.Placement(&o.Values)
}

func lifetimeOf(token oauth.Token) string {
	if token.Expiry.IsZero() {
		return ", of unknown lifetime"
	}
	return ", valid for " + token.Expiry.Sub(token.ObtainedAt).Round(time.Second).String()
}
