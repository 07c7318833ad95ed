package vault_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyflow/credentials"
	"keyflow/credentials/marketotest"
	"keyflow/credentials/presets"
	"keyflow/internal/fault"
)

// marketoCredential is the Marketo preset, led to the stand-in: its wait is shorter and its
// limits, which have their own tests, are left out.
func marketoCredential(t *testing.T, s *marketotest.Server, wait, method string) string {
	t.Helper()
	preset, err := presets.Find(listPresets(t), "marketo")
	if err != nil {
		t.Fatal(err)
	}
	in, problems := preset.Fill(map[string]string{"tenant": "123-ABC-456"})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	in.ID, in.AllowedHosts, in.Limits = "mkto", []string{s.Host}, nil
	in.Fields["access_token_url"], in.Fields["token_method"] = s.TokenURL, method
	in.Fields["client_id"], in.Fields["client_secret"] = s.ClientID, s.Secret()
	for i := range in.FailureRules {
		if in.FailureRules[i].Action == "wait" {
			in.FailureRules[i].Until = wait
		}
	}
	return quoted(t, in)
}

// onMarketo is a vault with a Marketo credential and the stand-in, by the same clock.
func onMarketo(t *testing.T, o marketotest.Options, wait string) (*network, *marketotest.Server) {
	t.Helper()
	n := online(t)
	o.Now = n.now
	s := marketotest.New(t, o)
	n.create(t, marketoCredential(t, s, wait, http.MethodPost))
	return n, s
}

func (n *network) lead(t *testing.T, s *marketotest.Server) error {
	t.Helper()
	a, err := n.get(t, "mkto", s.URL+"/v1/leads.json")
	if err == nil && !strings.Contains(a.body, `"success":true`) {
		t.Errorf("answer %+v", a)
	}
	return err
}

func counts(t *testing.T, s *marketotest.Server, what string, tokens, calls int) {
	t.Helper()
	if got := len(s.TokenRequests()); got != tokens {
		t.Errorf("%s: %d token requests, want %d", what, got, tokens)
	}
	if got := len(s.Calls()); got != calls {
		t.Errorf("%s: %d calls %v, want %d", what, got, s.Codes(), calls)
	}
}

func TestMarketoTokenByPostAndGet(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"POST", "GET"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			n := online(t)
			s := marketotest.New(t, marketotest.Options{})
			n.create(t, marketoCredential(t, s, "1s", method))
			if err := n.lead(t, s); err != nil {
				t.Fatal(err)
			}
			if got := s.TokenRequests(); len(got) != 1 || got[0] != (marketotest.TokenRequest{Method: method, Status: http.StatusOK}) {
				t.Errorf("token requests %v", got)
			}
		})
	}
}

// Every expires_in of table 5 of the research: when the token is asked for again.
func TestMarketoLifetimes(t *testing.T) {
	t.Parallel()
	const long = 1000 * time.Hour
	tests := map[string]struct {
		raw   string
		keeps time.Duration // still the first token then
		ends  time.Duration // another request then; 0: never
	}{
		"3599":     {"3599", 3500 * time.Second, 3598 * time.Second},
		"30":       {"30", 26 * time.Second, 29 * time.Second},
		"1":        {"1", 0, time.Second},
		"0":        {"0", 0, time.Second},
		"-1":       {"-1", 0, time.Second},
		"missing":  {"", long, 0},
		"null":     {"null", long, 0},
		`"3599"`:   {`"3599"`, 3500 * time.Second, 3598 * time.Second},
		"3599.0":   {"3599.0", 3500 * time.Second, 3598 * time.Second},
		`"3599.5"`: {`"3599.5"`, 3500 * time.Second, 3598 * time.Second},
		"1e400":    {"1e400", long, 0},
		"text":     {`"soon"`, long, 0},
		"object":   {`{"seconds": 5}`, long, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n, s := onMarketo(t, marketotest.Options{Lifetime: 2 * long}, "1s")
			n.freeze()
			s.ExpiresIn(tt.raw)
			use := func(at time.Duration, tokens int) {
				t.Helper()
				n.ahead.Store(int64(at))
				if err := n.lead(t, s); err != nil {
					t.Fatal(err)
				}
				if got := len(s.TokenRequests()); got != tokens {
					t.Errorf("%s after the start: %d token requests, want %d", at, got, tokens)
				}
			}
			use(0, 1)
			if tt.keeps > 0 {
				use(tt.keeps, 1)
			}
			if tt.ends > 0 {
				use(tt.ends, 2)
			}
		})
	}
}

func TestMarketoSameTokenIsNotAskedForAgain(t *testing.T) {
	t.Parallel()
	n, s := onMarketo(t, marketotest.Options{}, "1s")
	n.freeze()
	steps := []struct {
		at     time.Duration
		tokens int
	}{{0, 1}, {3530 * time.Second, 1}, {3545 * time.Second, 2}, {3560 * time.Second, 2}, {3597 * time.Second, 2}, {3601 * time.Second, 3}, {3700 * time.Second, 3}}
	for _, step := range steps {
		n.ahead.Store(int64(step.at))
		if err := n.lead(t, s); err != nil {
			t.Fatal(err)
		}
		if got := len(s.TokenRequests()); got != step.tokens {
			t.Errorf("after %s: %d token requests, want %d", step.at, got, step.tokens)
		}
	}
	if got := s.Codes(); got[""] != len(steps) {
		t.Errorf("calls %v: none may be wasted", got)
	}
}

func TestMarketoTokenThatEndsEarly(t *testing.T) {
	t.Parallel()
	n, s := onMarketo(t, marketotest.Options{}, "1s")
	if err := n.lead(t, s); err != nil {
		t.Fatal(err)
	}
	for i, end := range []func(){s.Revoke, s.Expire} {
		end()
		if err := n.lead(t, s); err != nil {
			t.Fatal(err)
		}
		counts(t, s, "after an early end", 2+i, 3+2*i)
	}
	n.advance(time.Minute)
	s.AnswerAlways(marketotest.Invalid)
	err := n.lead(t, s)
	if e := refusal(t, err, credentials.CodeRefused); !strings.HasSuffix(e.Message, `refused the credential "mkto" (status 200); enter a new secret or check its rights there`) ||
		!strings.Contains(string(e.Answer.Body), `"601"`) {
		t.Errorf("%q, answer %+v", e.Message, e.Answer)
	}
	counts(t, s, "refused twice", 4, 7)
}

func TestMarketoOneTokenForAll(t *testing.T) {
	t.Parallel()
	n, s := onMarketo(t, marketotest.Options{}, "1s")
	for round := range 3 { // the first token, one that has expired, one that ends early
		if round == 2 {
			s.Revoke()
		}
		var wg sync.WaitGroup
		var failed atomic.Int64
		for range 64 {
			client := n.client(t, credentials.Use{ID: "mkto"})
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/v1/leads.json", nil)
			if err != nil {
				t.Fatal(err)
			}
			wg.Go(func() {
				res, err := client.Do(req)
				if err != nil {
					failed.Add(1)
					return
				}
				text, err := io.ReadAll(res.Body)
				_ = res.Body.Close()
				if err != nil || !strings.Contains(string(text), `"success":true`) {
					failed.Add(1)
				}
			})
		}
		wg.Wait()
		if failed.Load() > 0 || len(s.TokenRequests()) != round+1 {
			t.Errorf("round %d: %d failures, %d token requests; want %d", round, failed.Load(), len(s.TokenRequests()), round+1)
		}
		if codes := s.Codes(); round < 2 && len(codes) > 1 || codes[marketotest.Invalid] > 64 {
			t.Errorf("round %d: calls %v", round, codes)
		}
		if round == 0 {
			n.advance(2 * time.Hour)
		}
	}
}

// The secret is changed while a call with the old token is under way.
func TestMarketoChangedSecret(t *testing.T) {
	t.Parallel()
	n, s := onMarketo(t, marketotest.Options{}, "1s")
	client := n.client(t, credentials.Use{ID: "mkto"})
	if _, err := call(t, client, http.MethodGet, s.URL+"/v1/leads.json", ""); err != nil {
		t.Fatal(err)
	}
	s.BeforeNext(func() {
		s.ChangeSecret("another-marketo-secret")
		if _, err := n.Patch(context.WithoutCancel(t.Context()), admin, "mkto", []byte(`{"fields": {"client_secret": "another-marketo-secret"}}`), credentials.AnyRevision); err != nil {
			t.Error(err)
		}
	})
	if _, err := call(t, client, http.MethodGet, s.URL+"/v1/leads.json", ""); err != nil {
		t.Fatal(err)
	}
	counts(t, s, "after the change", 2, 3)
	for i, r := range s.TokenRequests() {
		if r.Status != http.StatusOK {
			t.Errorf("token request %d: status %d: the old secret was used", i, r.Status)
		}
	}
}

func TestMarketoDenied(t *testing.T) {
	t.Parallel()
	n, s := onMarketo(t, marketotest.Options{}, "1s")
	s.Answer(marketotest.Denied)
	refusal(t, n.lead(t, s), credentials.CodeRefused)
	counts(t, s, "denied", 1, 1)
	if state := n.state(t, "mkto"); state.Status != credentials.Refused {
		t.Errorf("state %+v", state)
	}
	if err := n.lead(t, s); err != nil { // refused never blocks later calls
		t.Fatal(err)
	}
	if state := n.state(t, "mkto"); state.Status != credentials.OK {
		t.Errorf("state %+v", state)
	}
}

func TestMarketoWaits(t *testing.T) {
	t.Parallel()
	n, s := onMarketo(t, marketotest.Options{}, "30ms")
	s.Answer(marketotest.TooMany, marketotest.TooManyOnce, marketotest.TooMany)
	var idle, resumed atomic.Int64
	client := n.client(t, credentials.Use{ID: "mkto", Idle: func() func() {
		idle.Add(1)
		return func() { resumed.Add(1) }
	}})
	if _, err := call(t, client, http.MethodPost, s.URL+"/v1/leads.json", "text"); err != nil {
		t.Fatal(err)
	}
	counts(t, s, "three waits", 1, 4)
	if idle.Load() != 3 || resumed.Load() != 3 {
		t.Errorf("%d waits began and %d ended, want 3", idle.Load(), resumed.Load())
	}
}

// Right before each request goes out the caller is asked, however long the token, the limits and
// the rules took.
func TestReadyBeforeEachRequest(t *testing.T) {
	t.Parallel()
	n, s := onMarketo(t, marketotest.Options{}, "30ms")
	s.Answer(marketotest.TooMany, marketotest.Expired)
	type seen struct{ Tokens, Calls int }
	var asked []seen
	client := n.client(t, credentials.Use{ID: "mkto", Ready: func(context.Context) {
		asked = append(asked, seen{len(s.TokenRequests()), len(s.Calls())})
	}})
	if _, err := call(t, client, http.MethodGet, s.URL+"/v1/leads.json", ""); err != nil {
		t.Fatal(err)
	}
	want := []seen{{0, 0}, {1, 0}, {1, 1}, {1, 1}, {2, 2}, {2, 2}}
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Error(diff)
	}
}

func TestLongWaitsAreGivenToTheCaller(t *testing.T) {
	t.Parallel()
	n, s := onMarketo(t, marketotest.Options{}, "20s")
	s.Answer(marketotest.TooMany)
	begun := time.Now()
	client := n.client(t, credentials.Use{ID: "mkto", Park: true})
	_, err := call(t, client, http.MethodGet, s.URL+"/v1/leads.json", "")
	e := refusal(t, err, credentials.CodeLimit)
	if wait := e.Until.Sub(begun); wait < 20*time.Second || wait > 24*time.Second {
		t.Errorf("the caller is to come back after %s", wait)
	}
	// After something was done, the client waits itself.
	s.Answer("", marketotest.TooMany)
	client = n.client(t, credentials.Use{ID: "mkto", Park: true})
	if _, err := call(t, client, http.MethodGet, s.URL+"/v1/leads.json", ""); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/v1/leads.json", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Do(req); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want a wait that the caller's time ended", err)
	}
	// A request that may be sent once only is not repeated.
	s.Answer(marketotest.TooMany)
	_, err = call(t, n.client(t, credentials.Use{ID: "mkto", Park: true, AtMostOnce: true}), http.MethodGet, s.URL+"/v1/leads.json", "")
	if e := refusal(t, err, credentials.CodeQuota); !strings.HasSuffix(e.Message, "asked to wait (status 200), and this request cannot be repeated") || !e.Until.IsZero() {
		t.Errorf("%+v", e)
	}
}

func TestMarketoQuota(t *testing.T) {
	t.Parallel()
	n, s := onMarketo(t, marketotest.Options{}, "1s")
	s.Answer(marketotest.Quota)
	refusal(t, n.lead(t, s), credentials.CodeQuota)
	chicago, err := time.LoadLocation("America/Chicago")
	if err != nil {
		t.Fatal(err)
	}
	state := n.state(t, "mkto")
	if at := state.Until.In(chicago); state.Status != credentials.Quota || at.Hour() != 0 || at.Minute() != 0 || time.Until(at) > 25*time.Hour || time.Until(at) <= 0 {
		t.Fatalf("state %+v", state)
	}
	// Every workflow is told, without a call; another process too.
	_, err = call(t, n.client(t, credentials.Use{ID: "mkto", Workflow: "another", Folder: "/"}), http.MethodGet, s.URL+"/v1/leads.json", "")
	e := refusal(t, err, credentials.CodeQuota)
	if want := `the quota of credential "mkto" is used up until ` + state.Until.Format(time.RFC3339) + `: ` + s.Host + ` says that its quota is used up`; e.Message != want {
		t.Errorf("message %q, want %q", e.Message, want)
	}
	refusal(t, onlineWith(t, n.db, n.dir).lead(t, s), credentials.CodeQuota)
	counts(t, s, "quota", 1, 1)
	n.ahead.Store(int64(time.Until(state.Until) + time.Second))
	if err := n.lead(t, s); err != nil {
		t.Fatal(err)
	}
	if state := n.state(t, "mkto"); state.Status != credentials.OK || !state.Until.IsZero() {
		t.Errorf("state %+v", state)
	}
}

// A change of the rules ends a pause that they made.
func TestQuotaEndsWithItsRule(t *testing.T) {
	t.Parallel()
	n, s := onMarketo(t, marketotest.Options{}, "1s")
	s.Answer(marketotest.Quota)
	refusal(t, n.lead(t, s), credentials.CodeQuota)
	n.patch(t, "mkto", `{"name": "Marketo"}`)
	refusal(t, n.lead(t, s), credentials.CodeQuota)
	n.patch(t, "mkto", `{"failure_rules": []}`)
	if err := n.lead(t, s); err != nil {
		t.Fatal(err)
	}
}

func TestMarketoBadClient(t *testing.T) {
	t.Parallel()
	n, s := onMarketo(t, marketotest.Options{}, "1s")
	s.ChangeSecret("changed-at-marketo")
	refusal(t, n.lead(t, s), credentials.CodeRefused)
	err := n.Refresh(t.Context(), admin, "mkto")
	if want := `no token for credential "mkto": the provider answered invalid_client: Bad client credentials`; !fault.Is(err, fault.Conflict) || fault.Message(err) != want {
		t.Errorf("refresh: %v", err)
	}
}
