package sqlstore_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"keyflow/credentials"
	"keyflow/engine/runs"
	"keyflow/engine/sqlstore"
	"keyflow/internal/database"
	"keyflow/internal/database/databasetest"
	"keyflow/internal/fault"
	"keyflow/workflows"
)

// history stores runs with steps, one run each millisecond.
type history struct {
	*testing.T
	store *sqlstore.Store
	runs  int
	began time.Time
}

func (h *history) add(workflow, folder string, steps ...runs.Step) runs.ID {
	h.Helper()
	h.runs++
	id := runs.ID(uuid.MustParse(fmt.Sprintf("0198f000-%04x-7000-8000-000000000000", h.runs)))
	run := runs.Run{
		ID: id, Workflow: workflows.ID(workflow), Version: 1, Folder: folder, Status: runs.Running,
		Owner: runs.OwnerID{1}, Fence: 1, CreatedAt: h.began, StartedAt: &h.began,
		Trigger: runs.TriggerRef{ID: "manual", Type: "manual", FiredAt: h.began},
	}
	outcomes, err := h.store.Commit(h.Context(), []runs.Entry{
		{Create: &runs.NewRun{Run: run}},
		{Progress: &runs.Progress{Run: id, Owner: run.Owner, Fence: 1, Steps: steps, Set: &runs.Change{Status: runs.Succeeded, FinishedAt: &h.began}}},
	}, h.began)
	for _, out := range outcomes {
		if out.Err != nil {
			err = out.Err
		}
	}
	if err != nil {
		h.Fatal(err)
	}
	return id
}

// used returns a step with one request for each attempt; "" is a request without a credential.
func (h *history) used(node string, index int, by ...credentials.ID) runs.Step {
	step := runs.Step{Node: workflows.NodeID(node), Index: index, Status: runs.StepSucceeded, StartedAt: &h.began, FinishedAt: &h.began}
	for i, id := range by {
		at := h.began.Add(time.Duration(i) * time.Second)
		call := credentials.Call{Host: "api.example", Method: "GET", URL: fmt.Sprintf("https://api.example/%d", i), Status: 200 + i, Duration: time.Millisecond}
		if id != "" {
			call.Credential, call.Version, call.Fingerprint = id, 3, "0123456789ab"
		}
		step.Calls = append(step.Calls, call)
		step.Attempts = append(step.Attempts, runs.Attempt{Attempt: i + 1, StartedAt: at, FinishedAt: &at, Request: &runs.Request{
			Method: call.Method, URL: call.URL, Status: call.Status, DurationMS: 1,
		}})
	}
	return step
}

// pages reads all uses in pages of limit, as lines.
func (h *history) pages(f runs.UseFilter, limit int) (lines []string) {
	h.Helper()
	f.Limit = limit
	for {
		uses, err := h.store.Uses(h.Context(), f)
		if err != nil {
			h.Fatal(err)
		}
		for _, u := range uses {
			f.After = u.Cursor
			lines = append(lines, fmt.Sprintf("%s %s/%d %s +%s v%d %d", u.Workflow, u.Node, u.Index, u.Call.URL, u.At.Sub(h.began), u.Call.Version, u.Call.Status))
		}
		if len(uses) < limit {
			return lines
		}
		if len(lines) > 100 {
			h.Fatalf("pages do not end: %s", lines)
		}
	}
}

func TestUsesOfACredential(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, open func() *database.DB) {
		store := newStore(t, open())
		h := &history{T: t, store: store, began: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
		h.add("sync", "/hr", h.used("fetch", runs.NoIndex, "erp", "", "erp"), h.used("other", runs.NoIndex, "crm"))
		h.add("mail", "/hr/mail", h.used("each", 0, "erp"), h.used("each", 1, "erp"), runs.Step{Node: "each", Index: runs.NoIndex, Status: runs.StepSucceeded})
		h.add("sales", "/sales", h.used("fetch", runs.NoIndex, "erp"))
		h.add("plain", "/hr", h.used("fetch", runs.NoIndex, ""))
		want := []string{
			"sales fetch/-1 https://api.example/0 +0s v3 200",
			"mail each/1 https://api.example/0 +0s v3 200",
			"mail each/0 https://api.example/0 +0s v3 200",
			"sync fetch/-1 https://api.example/2 +2s v3 202",
			"sync fetch/-1 https://api.example/0 +0s v3 200",
		}
		for limit := 1; limit <= 6; limit++ {
			if diff := cmp.Diff(want, h.pages(runs.UseFilter{Credential: "erp"}, limit)); diff != "" {
				t.Errorf("pages of %d (-want +got):\n%s", limit, diff)
			}
		}
		for folder, want := range map[string][]string{"/hr": want[1:], "/hr/": want[1:], "/hr/mail": want[1:3], "/": want, "/h": nil} {
			if diff := cmp.Diff(want, h.pages(runs.UseFilter{Credential: "erp", Folder: folder}, 2)); diff != "" {
				t.Errorf("in %s (-want +got):\n%s", folder, diff)
			}
		}
		if got := h.pages(runs.UseFilter{Credential: "unknown"}, 5); got != nil {
			t.Errorf("uses of an unknown credential: %s", got)
		}
	})
}

// The calls of a step are read as they were stored, with and without the credential's column.
func TestUseThatIsReadWithItsRun(t *testing.T) {
	t.Parallel()
	store := newStore(t, databasetest.SQLite(t))
	h := &history{T: t, store: store, began: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	want := h.used("fetch", runs.NoIndex, "erp", "", "crm", "crm")              // a template gave another id to a later attempt
	want.Calls[1].URL = "https://api.example/" + strings.Repeat("long", 20<<10) // detail becomes a blob
	want.Attempts[1].Request.URL = want.Calls[1].URL
	id := h.add("sync", "/", want)
	steps, err := store.Steps(t.Context(), id)
	if err != nil || len(steps) != 1 {
		t.Fatalf("%d steps, %v", len(steps), err)
	}
	if diff := cmp.Diff(want, steps[0]); diff != "" {
		t.Errorf("step (-want +got):\n%s", diff)
	}
	if got := h.pages(runs.UseFilter{Credential: "crm"}, 5); len(got) != 2 {
		t.Errorf("uses of the last credential: %s", got)
	}
}

func TestUsesRefuseAForeignCursor(t *testing.T) {
	t.Parallel()
	store := newStore(t, databasetest.SQLite(t))
	for _, cursor := range []string{"x", "0198f000-0001-7000-8000-000000000000", "0198f000-0001-7000-8000-000000000000.1.2", "0198f000-0001-7000-8000-000000000000.1.2.3.4", "erp"} {
		if _, err := store.Uses(t.Context(), runs.UseFilter{Credential: "erp", After: cursor}); !fault.Is(err, fault.Invalid) {
			t.Errorf("cursor %q: %v", cursor, err)
		}
	}
}

// A page is read from the end of the index: no sorting, no reading of other steps.
func TestUsesAreFoundByTheirIndex(t *testing.T) {
	t.Parallel()
	db := databasetest.SQLite(t)
	var plan []struct{ Detail string }
	err := db.Read().Raw(`EXPLAIN QUERY PLAN SELECT s.run FROM steps s JOIN node_names n ON n.id = s.node JOIN runs r ON r.id = s.run JOIN origins o ON o.id = r.origin
		WHERE s.credential = (SELECT id FROM credential_names WHERE name = 'erp') AND (s.run, s.node, s.idx) <= (x'00', 1, 1)
		ORDER BY s.run DESC, s.node DESC, s.idx DESC LIMIT 5`).Scan(&plan).Error
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprint(plan)
	if !strings.Contains(text, "steps_of_credential") || strings.Contains(text, "TEMP B-TREE") {
		t.Errorf("plan: %s", text)
	}
}
