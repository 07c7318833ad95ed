package main

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"keyflow/credentials/marketotest"
	"keyflow/internal/database/databasetest"
)

// marketoRules are those of the Marketo preset, with a wait of the test's choice.
const marketoRules = `[
	{"status": [200], "body": "response.body.success == false and any(response.body.errors, #.code in ['601', '602'])", "action": "renew", "not_executed": true},
	{"status": [200], "body": "response.body.success == false and any(response.body.errors, #.code == '603')", "action": "refuse", "not_executed": true},
	{"status": [200], "body": "response.body.success == false and any(response.body.errors, #.code in ['606', '615'])", "action": "wait", "until": "1200ms", "not_executed": true},
	{"status": [200], "body": "response.body.success == false and any(response.body.errors, #.code == '607')", "action": "quota", "until": "00:00 America/Chicago", "not_executed": true}]`

// useMarketo stores a credential of the stand-in and the workflow "lead", which calls it once.
func useMarketo(s *instance, m *marketotest.Server, more string) {
	s.t.Helper()
	s.must(http.MethodPost, "/api/v1/credentials", fmt.Sprintf(`{"id": "mkto", "type": "oauth2", "allowed_hosts": [%q], "failure_rules": %s,
		"fields": {"grant_type": "client_credentials", "access_token_url": %q, "client_id": %q, "client_secret": %q, "client_authentication": "body"}%s}`,
		m.Host, marketoRules, m.TokenURL, m.ClientID, m.Secret(), more))
	s.apply("lead", `{"id": "lead", "nodes": {"get": {"type": "web_request", "credential": "mkto", "timeout": "20s",
		"with": {"url": "`+m.URL+`/v1/{{ input.n }}"}, "output": "{{ this.body.success }}"}}}`)
}

// leads starts runs over all servers and waits for their ends; the result says how they went.
func leads(t *testing.T, servers []*instance, first, count int, begun func()) []answer {
	t.Helper()
	ids := make([]string, count)
	for i := range ids {
		s := servers[i%len(servers)]
		ids[i] = text(s.must(http.MethodPost, "/api/v1/workflows/lead/runs", map[string]any{"input": map[string]any{"n": first + i}}).json["id"])
	}
	begun()
	runs := make([]answer, count)
	for i, id := range ids {
		eventually(t, "run "+id+" ends", func() bool {
			runs[i] = servers[0].must(http.MethodGet, "/api/v1/runs/"+id, nil)
			status := runs[i].json["status"]
			return status == "succeeded" || status == "failed" || status == "canceled"
		})
	}
	return runs
}

func mustSucceed(t *testing.T, what string, runs []answer) {
	t.Helper()
	for _, r := range runs {
		if r.json["status"] != "succeeded" {
			t.Errorf("%s: %s", what, r.body)
		}
	}
}

// oneRenewal takes the servers through a first token, one that has expired and one that ended
// early, each met by 64 runs at once.
func oneRenewal(t *testing.T, servers []*instance, m *marketotest.Server, clock *sharedClock) {
	t.Helper()
	const runs = 64
	for round, what := range []string{"no token", "an expired token", "a token that ended early"} {
		before := len(m.Calls())
		release := m.Hold()
		if round == 2 {
			m.Revoke()
		}
		mustSucceed(t, what, leads(t, servers, round*runs, runs, release))
		if tokens := len(m.TokenRequests()); tokens != round+1 {
			t.Errorf("%s: %d token requests so far, want %d", what, tokens, round+1)
		}
		perRun := map[string]int{}
		for _, c := range m.Calls()[before:] {
			perRun[c.Path]++
		}
		allowed := 1 // and one repetition of a call that met the token's end
		if round == 2 {
			allowed = 2
		}
		for path, n := range perRun {
			if n > allowed {
				t.Errorf("%s: %d calls of %s, want at most %d", what, n, path, allowed)
			}
		}
		if round == 0 {
			clock.set(2 * time.Hour)
			for _, s := range servers {
				eventually(t, "the token has expired for the process", func() bool { return clock.now().Sub(s.probed()) < time.Hour })
			}
		}
	}
}

// P7 in one process on SQLite.
func TestOneRenewalOnSQLite(t *testing.T) {
	t.Parallel()
	clock := newSharedClock(t)
	m := marketotest.New(t, marketotest.Options{Now: clock.now})
	s := serveWith(t, "", clock.env())
	useMarketo(s, m, "")
	s.apply("probe", probe)
	oneRenewal(t, []*instance{s}, m, clock)
}

// three starts three processes with variables that share one Postgres database.
func three(t *testing.T, env ...string) []*instance {
	t.Helper()
	database := databasetest.PostgresURL(t)
	env = append(env,
		"KEYFLOW_MASTER_KEY="+base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 32))),
		"KEYFLOW_ADMIN_TOKEN=the-same-token-for-all-three-processes")
	var servers []*instance
	for range 3 {
		servers = append(servers, serveWith(t, "", env, "--database-url", database))
	}
	return servers
}

// P7 in three processes that share a Postgres database.
func TestOneRenewalInThreeProcesses(t *testing.T) {
	t.Parallel()
	clock := newSharedClock(t)
	m := marketotest.New(t, marketotest.Options{Now: clock.now})
	servers := three(t, clock.env()...)
	useMarketo(servers[0], m, "")
	servers[0].apply("probe", probe)
	eventually(t, "every process knows the workflows", func() bool {
		for _, s := range servers {
			if s.do(http.MethodGet, "/api/v1/workflows/probe", nil).status != http.StatusOK {
				return false
			}
		}
		return true
	})
	oneRenewal(t, servers, m, clock)
}

// limited runs more at once than the limits allow; Marketo must never say so.
func limited(t *testing.T, servers []*instance, m *marketotest.Server) {
	t.Helper()
	useMarketo(servers[0], m, `, "limits": {"requests": 50, "per": "5s", "concurrency": 3}`)
	begun := time.Now()
	runs := leads(t, servers, 0, 64, func() {})
	mustSucceed(t, "limits", runs)
	for _, r := range runs {
		if n := attemptsOf(t, r); n != 1 {
			t.Errorf("%d attempts: %s", n, r.body)
		}
	}
	if took := time.Since(begun); took < 5*time.Second {
		t.Errorf("64 runs took %s: 50 may start within 5 s", took)
	}
	if codes := m.Codes(); len(codes) != 1 || m.Peak() > 3 {
		t.Errorf("calls %v, %d at once; want no refusals and at most 3", codes, m.Peak())
	}
}

func attemptsOf(t *testing.T, run answer) int {
	t.Helper()
	var r struct{ Steps []struct{ Attempts []any } }
	decode(t, run.body, &r)
	if len(r.Steps) != 1 {
		t.Fatalf("steps of %s", run.body)
	}
	return len(r.Steps[0].Attempts)
}

func TestLimitsOnSQLite(t *testing.T) {
	t.Parallel()
	m := marketotest.New(t, marketotest.Options{Calls: 50, Per: 5 * time.Second, Concurrency: 3, Latency: 20 * time.Millisecond})
	limited(t, []*instance{serve(t, "")}, m)
}

func TestLimitsInThreeProcesses(t *testing.T) {
	t.Parallel()
	m := marketotest.New(t, marketotest.Options{Calls: 50, Per: 5 * time.Second, Concurrency: 3, Latency: 20 * time.Millisecond})
	limited(t, three(t), m)
}

// What the Marketo preset must do, through a server with 64 runs at once.
func TestMarketoThroughTheServer(t *testing.T) {
	t.Parallel()
	const runs = 64
	m := marketotest.New(t, marketotest.Options{})
	s := serve(t, "")
	useMarketo(s, m, "")
	only := []*instance{s}

	m.Answer(marketotest.TooManyOnce, marketotest.TooMany, marketotest.TooMany, marketotest.TooManyOnce)
	waited := leads(t, only, 0, runs, func() {})
	mustSucceed(t, "606 and 615", waited)
	for _, r := range waited {
		if n := attemptsOf(t, r); n != 1 {
			t.Errorf("a wait was counted as an attempt: %s", r.body)
		}
	}
	if got := m.Codes(); got[marketotest.TooMany] != 2 || got[marketotest.TooManyOnce] != 2 || got[""] != runs {
		t.Errorf("calls %v", got)
	}

	m.BeforeNext(func() { // while a run's call with the former token is under way
		m.ChangeSecret("another-marketo-secret")
		if a := s.do(http.MethodPatch, "/api/v1/credentials/mkto", `{"fields": {"client_secret": "another-marketo-secret"}}`); a.status != http.StatusOK {
			t.Errorf("patch: %s", a.body)
		}
	})
	mustSucceed(t, "changed secret", append(leads(t, only, runs, 1, func() {}), leads(t, only, runs+1, runs, func() {})...))
	for _, r := range m.TokenRequests() {
		if r.Status != http.StatusOK {
			t.Errorf("token requests %v: the former secret was used after the change", m.TokenRequests())
		}
	}

	failing := func(code, want string, calls int) {
		t.Helper()
		before := len(m.Calls())
		m.AnswerAlways(code)
		failed := leads(t, only, 1000, 1, func() {})[0]
		m.AnswerAlways("")
		if failed.json["status"] != "failed" || !strings.Contains(failed.body, want) || len(m.Calls())-before != calls {
			t.Errorf("%s: %d calls, want %d; %s", code, len(m.Calls())-before, calls, failed.body)
		}
	}
	failing(marketotest.Denied, `"code":"credential_refused"`, 1)
	failing(marketotest.Invalid, `"code":"credential_refused"`, 2)
	failing(marketotest.Quota, `"code":"quota"`, 1)
	failing("", `is used up until`, 0) // also for the next
	if state := s.must(http.MethodGet, "/api/v1/credentials/mkto", nil); !strings.Contains(state.body, `"status":"quota"`) || !strings.Contains(state.body, `"until":"`) {
		t.Errorf("credential %s", state.body)
	}
}
