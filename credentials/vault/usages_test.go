package vault_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyflow/credentials"
	"keyflow/credentials/masterkey"
	"keyflow/credentials/sqlstore"
	"keyflow/credentials/vault"
	"keyflow/internal/database/databasetest"
	"keyflow/internal/egress"
	"keyflow/internal/fault"
	"keyflow/internal/identity"
)

// busy is a vault whose credentials are used by workflows.
type busy struct {
	*network
	upstream *httptest.Server
	status   atomic.Int32 // what the upstream answers
	named    map[credentials.ID][]credentials.Usage
	existing map[string]bool
	asked    int // how often the catalog was
}

func newBusy(t *testing.T) *busy {
	t.Helper()
	b := &busy{network: &network{db: databasetest.SQLite(t), dir: t.TempDir(), ahead: &atomic.Int64{}}, named: map[credentials.ID][]credentials.Usage{}, existing: map[string]bool{}}
	b.status.Store(200)
	b.upstream = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(int(b.status.Load())) }))
	t.Cleanup(b.upstream.Close)
	transport, err := egress.New(egress.Options{Allow: []string{"127.0.0.0/8"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(transport.CloseIdleConnections)
	keys, err := masterkey.Open(b.dir, "")
	if err != nil {
		t.Fatal(err)
	}
	store, start := sqlstore.New(b.db), time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	b.Vault, err = vault.New(vault.Options{
		Store: store, Tokens: store, Limits: store, Canary: store, Seen: store, Reminders: store, Keyset: keys, Transport: transport,
		Now:    func() time.Time { return start.Add(time.Duration(b.ahead.Load())) },
		Usages: func(_ context.Context, id credentials.ID) ([]credentials.Usage, error) { return b.named[id], nil },
		Users:  b.users,
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *busy) users(_ context.Context, ids []credentials.ID, ran []string) (credentials.Users, error) {
	b.asked++
	u := credentials.Users{Naming: map[credentials.ID][]string{}, Existing: map[string]bool{}}
	for _, id := range ids {
		for _, usage := range b.named[id] {
			u.Naming[id] = append(u.Naming[id], usage.Workflow)
		}
	}
	for _, id := range ran {
		u.Existing[id] = b.existing[id]
	}
	return u, nil
}

// use sends a request of a node.
func (b *busy) use(t *testing.T, id credentials.ID, workflow, node string) {
	t.Helper()
	b.existing[workflow] = true
	client := b.client(t, credentials.Use{ID: id, Workflow: workflow, Folder: "/", Node: node})
	_, _ = call(t, client, http.MethodGet, b.upstream.URL, "") // a refusal is a use too
}

func (b *busy) usages(t *testing.T, id credentials.ID) (lines []string) {
	t.Helper()
	list, err := b.Usages(t.Context(), admin, id)
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range list {
		last := "never"
		if u.LastUsedAt != nil {
			last = u.LastUsedAt.Format("15:04")
		}
		if u.LastStatus != nil {
			last += fmt.Sprint(" ", *u.LastStatus)
		}
		lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s/%s%s literal=%v %s %s", u.Workflow, u.Node, u.Trigger, u.Literal, last, u.LastError)))
	}
	return lines
}

func TestUsagesSeenAtRunTime(t *testing.T) {
	t.Parallel()
	b := newBusy(t)
	b.create(t, `{"id": "erp", "type": "api_key", "fields": {"key": "X-Key", "value": "canary-of-the-erp"}, "allowed_hosts": ["`+b.upstream.URL+`"]}`)
	b.create(t, `{"id": "idle", "type": "no_auth"}`)
	b.named["erp"] = []credentials.Usage{{Workflow: "sync", Node: "push"}, {Workflow: "sync", Trigger: "in"}, {Workflow: "zzz", Node: "push"}}
	b.use(t, "erp", "sync", "push")
	b.advance(time.Minute)
	b.use(t, "erp", "mail", "each")
	b.use(t, "erp", "gone", "each")
	b.advance(time.Minute)
	b.status.Store(401)
	b.use(t, "erp", "mail", "each")
	delete(b.existing, "gone")
	want := []string{
		"mail/each literal=false 12:02 401 credential_refused",
		"sync/in literal=true never",
		"sync/push literal=true 12:00 200",
		"zzz/push literal=true never",
	}
	if diff := cmp.Diff(want, b.usages(t, "erp")); diff != "" {
		t.Errorf("usages (-want +got):\n%s", diff)
	}
	if got := b.usages(t, "idle"); got != nil {
		t.Errorf("usages of what nobody uses: %s", got)
	}

	b.asked = 0
	list, err := b.List(t.Context(), admin, credentials.Filter{})
	if err != nil || len(list) != 2 || list[0].UsedBy != 3 || list[1].UsedBy != 0 {
		t.Errorf("list: %+v, %v", list, err)
	}
	if b.asked != 1 {
		t.Errorf("the catalog was asked %d times for a page", b.asked)
	}
	if c, err := b.Get(t.Context(), admin, "erp"); err != nil || c.UsedBy != 3 {
		t.Errorf("used by %d, %v", c.UsedBy, err)
	}
	stranger := identity.Caller{Name: "viewer", Role: identity.Viewer, Folder: "/hr"}
	if _, err := b.Usages(t.Context(), stranger, "erp"); !fault.Is(err, fault.NotFound) {
		t.Errorf("usages for one who may not see the credential: %v", err)
	}
}

func TestDeleteIsRefusedAfterARecentUse(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		after   time.Duration
		gone    bool // the workflow was deleted
		force   bool
		refused bool
	}{
		"used just now":           {refused: true},
		"used 30 days ago":        {after: 30 * 24 * time.Hour, refused: true},
		"used longer ago":         {after: 30*24*time.Hour + time.Second},
		"by a workflow that went": {gone: true},
		"forced":                  {force: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBusy(t)
			b.create(t, `{"id": "open", "type": "no_auth"}`)
			b.use(t, "open", "mail", "each")
			b.advance(tt.after)
			b.existing["mail"] = !tt.gone
			err := b.Delete(t.Context(), admin, "open", tt.force)
			if !tt.refused {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			problems := fault.ProblemsOf(err)
			const message = `node "each" of workflow "mail" used it at run time, last at 2026-03-01T12:00:00Z`
			if !fault.Is(err, fault.Conflict) || len(problems) != 1 || problems[0].Path != "/workflows/mail/nodes/each" || problems[0].Message != message {
				t.Errorf("got %v %+v", err, problems)
			}
		})
	}
}

// What is not a use of the credential by a workflow is not counted as one.
func TestUsesThatAreNone(t *testing.T) {
	t.Parallel()
	b := newBusy(t)
	b.create(t, `{"id": "erp", "type": "api_key", "fields": {"key": "X-Key", "value": "canary-of-the-erp"}, "allowed_hosts": ["`+b.upstream.URL+`"], "allowed_workflows": ["/sync"], "test_url": "`+b.upstream.URL+`"}`)
	client := b.client(t, credentials.Use{ID: "erp", Workflow: "sync", Folder: "/", Node: "n"})
	interrupted, stop := context.WithCancel(t.Context())
	stop()
	req, err := http.NewRequestWithContext(interrupted, http.MethodGet, b.upstream.URL, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if res, err := client.Do(req); err == nil {
		_ = res.Body.Close()
		t.Error("an interrupted request succeeded")
	}
	b.patch(t, "erp", `{"allowed_workflows": ["/other"]}`)
	if _, err := call(t, client, http.MethodGet, b.upstream.URL, ""); err == nil {
		t.Error("a workflow that may not use it did")
	}
	if _, err := b.Test(t.Context(), admin, "erp"); err != nil {
		t.Error(err)
	}
	if got := b.usages(t, "erp"); got != nil {
		t.Errorf("usages: %s", got)
	}
}
