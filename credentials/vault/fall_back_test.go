package vault_test

import (
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyflow/credentials"
	"keyflow/internal/database/databasetest"
	"keyflow/internal/fault"
)

// rotated has promoted "new-key-2" with a fall-back, and the service refuses it since.
func rotated(t *testing.T, n *network, how credentials.Promotion) *guarded {
	t.Helper()
	g := guard(t, "old-key-1", "new-key-2")
	n.create(t, g.apiKey(`, "grace": "1h"`))
	n.stage(t, newKey())
	n.promote(t, how)
	mustGet(t, n, "api", g.URL+"/run")
	g.took()
	g.accept("old-key-1")
	return g
}

func TestFormerVersionComesBackByItself(t *testing.T) {
	t.Parallel()
	n := online(t)
	g := rotated(t, n, credentials.Promotion{FallBack: true})
	if a := mustGet(t, n, "api", g.URL+"/run"); a.status != http.StatusOK {
		t.Errorf("answer %+v", a)
	}
	if diff := cmp.Diff([]string{"new-key-2 /run", "old-key-1 /test", "old-key-1 /run"}, g.took()); diff != "" {
		t.Errorf("on the wire (-want +got):\n%s", diff)
	}
	c := n.credential(t)
	want := credentials.State{Status: credentials.OK, Message: "version 2 was refused; the fields of version 1 came back as version 3", Since: c.State.Since}
	if diff := cmp.Diff(want, c.State); diff != "" || c.Version != 3 || c.FallBack != nil || c.UpdatedBy != "system" {
		t.Errorf("version %d by %s, fall-back %+v, state (-want +got):\n%s", c.Version, c.UpdatedBy, c.FallBack, diff)
	}
	if versions, err := n.Versions(t.Context(), admin, "api"); err != nil || versions[0].Origin != credentials.OriginFallBack {
		t.Errorf("versions %+v, %v", versions, err)
	}
	g.accept() // it does not toggle
	_, err := n.get(t, "api", g.URL+"/run")
	requireRefused(t, err)
	if diff := cmp.Diff([]string{"old-key-1 /run"}, g.took()); diff != "" || n.credential(t).Version != 3 {
		t.Errorf("after it (-want +got):\n%s", diff)
	}
}

func requireRefused(t *testing.T, err error) *credentials.Error {
	t.Helper()
	e, ok := errors.AsType[*credentials.Error](err)
	if !ok || e.Code != credentials.CodeRefused {
		t.Fatalf("error %v, want credential_refused", err)
	}
	return e
}

func TestNoFallBack(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		how     credentials.Promotion
		before  func(t *testing.T, n *network, g *guarded)
		wire    []string
		version int
	}{
		"not asked for": {credentials.Promotion{}, func(*testing.T, *network, *guarded) {}, []string{"new-key-2 /run", "new-key-2 /run"}, 2},
		"grace is over": {credentials.Promotion{FallBack: true}, func(_ *testing.T, n *network, _ *guarded) { n.advance(2 * time.Hour) },
			[]string{"new-key-2 /run", "new-key-2 /run"}, 2},
		"the former fails too": {credentials.Promotion{FallBack: true}, func(_ *testing.T, _ *network, g *guarded) { g.accept() },
			[]string{"new-key-2 /run", "old-key-1 /test", "new-key-2 /run"}, 2}, // and is not tried by every request
		"fields were edited": {credentials.Promotion{FallBack: true},
			func(t *testing.T, n *network, _ *guarded) {
				t.Helper()
				n.patch(t, "api", `{"fields": {"value": "third-key"}}`)
			},
			[]string{"third-key /run", "third-key /run"}, 3},
		"hosts were widened": {credentials.Promotion{FallBack: true},
			func(t *testing.T, n *network, _ *guarded) {
				t.Helper()
				n.patch(t, "api", `{"allowed_hosts": ["*"], "fields": {"value": "new-key-2"}}`)
			},
			[]string{"new-key-2 /run", "new-key-2 /run"}, 2},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := online(t)
			g := rotated(t, n, tt.how)
			tt.before(t, n, g)
			for range 2 {
				_, err := n.get(t, "api", g.URL+"/run")
				requireRefused(t, err)
			}
			if diff := cmp.Diff(tt.wire, g.took()); diff != "" {
				t.Errorf("on the wire (-want +got):\n%s", diff)
			}
			if c := n.credential(t); c.Version != tt.version || c.State.Status != credentials.Refused {
				t.Errorf("version %d, state %+v", c.Version, c.State)
			}
		})
	}
}

// The former version comes back, but nobody may repeat a request that asked for at most one.
func TestFallBackWithoutRepetition(t *testing.T) {
	t.Parallel()
	n := online(t)
	g := rotated(t, n, credentials.Promotion{FallBack: true})
	client := n.client(t, credentials.Use{ID: "api", AtMostOnce: true})
	_, err := call(t, client, http.MethodPost, g.URL+"/run", "x")
	if e := requireRefused(t, err); !strings.HasSuffix(e.Message, "its former version has come back, but this request cannot be repeated safely: run the step again") {
		t.Errorf("message %q", e.Message)
	}
	if diff := cmp.Diff([]string{"new-key-2 /run", "old-key-1 /test"}, g.took()); diff != "" || n.credential(t).Version != 3 {
		t.Errorf("on the wire (-want +got):\n%s", diff)
	}
}

// Many requests in two processes are refused at the same moment: one version comes of it, and
// all of them get their answer.
func TestOneFallBackForEverybody(t *testing.T) {
	t.Parallel()
	db := databasetest.Postgres(t)
	n := onlineWith(t, db, t.TempDir())
	g := rotated(t, n, credentials.Promotion{FallBack: true})
	other := onlineWith(t, db, n.dir)
	const users = 12
	errs := make(chan error, users)
	var wg sync.WaitGroup
	for i := range users {
		at := []*network{n, other}[i%2]
		client := at.client(t, credentials.Use{ID: "api"})
		wg.Go(func() {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.URL+"/run", nil)
			if err != nil {
				errs <- err
				return
			}
			res, err := client.Do(req)
			if err == nil {
				err = res.Body.Close()
			}
			errs <- err
		})
	}
	wg.Wait()
	for range users {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if c := n.credential(t); c.Version != 3 || c.State.Status != credentials.OK {
		t.Errorf("version %d, state %+v", c.Version, c.State)
	}
	tests := 0
	for _, seen := range g.took() {
		if seen == "old-key-1 /test" {
			tests++
		}
	}
	if tests < 1 || tests > 2 {
		t.Errorf("the former secret was tried %d times, want once in each process at most", tests)
	}
}

// A client secret is refused where tokens are got, not by the service.
func TestFallBackOfAClientSecret(t *testing.T) {
	t.Parallel()
	n, p := online(t), provider(t)
	n.create(t, strings.Replace(clientCredentials("crm", p, ""), `"id": "crm"`, `"id": "api"`, 1))
	mustGet(t, n, "api", p.ResourceURL)
	n.stage(t, map[string]any{"client_secret": "wrong-secret-1"})
	if _, err := n.Promote(t.Context(), admin, "api", credentials.Promotion{}); !fault.Is(err, fault.Conflict) {
		t.Fatalf("a wrong client secret passed its test: %v", err)
	}
	if c := n.promote(t, credentials.Promotion{Force: true, FallBack: true}); c.FallBack == nil || c.FallBack.Until != nil {
		t.Fatalf("fall-back %+v", c.FallBack)
	}
	if a := mustGet(t, n, "api", p.ResourceURL); a.status != http.StatusOK {
		t.Errorf("answer %+v", a)
	}
	if c := n.credential(t); c.Version != 3 || c.State.Status != credentials.OK {
		t.Errorf("version %d, state %+v", c.Version, c.State)
	}
}

func TestGraceOfAPromotion(t *testing.T) {
	t.Parallel()
	n, g := online(t), guard(t, "old-key-1", "new-key-2")
	n.create(t, g.apiKey(`, "grace": "1h"`))
	n.stage(t, newKey())
	c := n.promote(t, credentials.Promotion{FallBack: true})
	if c.FallBack == nil || c.FallBack.Version != 1 || c.FallBack.Until == nil || !c.FallBack.Until.Equal(c.UpdatedAt.Add(time.Hour)) {
		t.Fatalf("fall-back %+v", c.FallBack)
	}
	n.patch(t, "api", `{"name": "New"}`)
	if c := n.credential(t); c.FallBack == nil {
		t.Error("an edit of the name ended the fall-back")
	}
	n.advance(2 * time.Hour)
	if c := n.credential(t); c.FallBack != nil {
		t.Errorf("fall-back after the grace: %+v", c.FallBack)
	}
	if _, err := n.Rollback(t.Context(), admin, "api", 0); !fault.Is(err, fault.Conflict) || !strings.HasPrefix(fault.Message(err), `the grace of credential "api" ended at `) {
		t.Errorf("rollback after the grace: %v", err)
	}
}
