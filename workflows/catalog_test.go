package workflows_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"keyflow/internal/database/databasetest"
	"keyflow/internal/fault"
	"keyflow/internal/identity"
	"keyflow/workflows"
	"keyflow/workflows/sqlstore"
)

var start = time.Date(2026, 11, 5, 9, 0, 0, 0, time.UTC)

func editor(folder string) identity.Caller {
	return identity.Caller{Name: "ed", Role: identity.Editor, Folder: folder}
}

func setup(t *testing.T, o workflows.CatalogOptions) (*workflows.Catalog, *countingStore) {
	t.Helper()
	store := &countingStore{Store: sqlstore.New(databasetest.SQLite(t))}
	o.Logger = slog.New(slog.DiscardHandler)
	if o.Now == nil {
		o.Now = func() time.Time { return start }
	}
	return workflows.NewCatalog(store, o), store
}

// countingStore counts reads, to prove that the cache answers.
type countingStore struct {
	workflows.Store
	reads atomic.Int64
}

func (s *countingStore) Get(ctx context.Context, id workflows.ID) (workflows.Summary, error) {
	s.reads.Add(1)
	return s.Store.Get(ctx, id)
}

func (s *countingStore) Version(ctx context.Context, id workflows.ID, n int) (workflows.Version, error) {
	s.reads.Add(1)
	return s.Store.Version(ctx, id, n)
}

func source(id, folder, extra string) []byte {
	return fmt.Appendf(nil, `{"id": %q, "folder": %q, "nodes": {"a": {"type": "x"}}%s}`, id, folder, extra)
}

func apply(t *testing.T, c *workflows.Catalog, id, folder, extra string) workflows.Applied {
	t.Helper()
	a, err := c.Apply(t.Context(), identity.System(), workflows.ID(id), source(id, folder, extra), -1)
	if err != nil {
		t.Fatalf("Apply: %v", err)
	}
	return a
}

// meaning is a checker that knows one node type and advises on names.
type meaning struct{}

func (meaning) Check(_ context.Context, d *workflows.Definition) (problems, warnings []workflows.Problem) {
	for _, id := range d.NodeOrder {
		if d.Nodes[id].Type != "x" {
			problems = append(problems, workflows.Problem{Path: "/nodes/" + string(id) + "/type", Code: "unknown_type", Message: "no such type"})
		}
	}
	if d.Name == string(d.ID) {
		warnings = append(warnings, d.Problemf("/name", "no_name", "give it a name"))
	}
	return problems, warnings
}

func TestApply(t *testing.T) {
	t.Parallel()
	c, _ := setup(t, workflows.CatalogOptions{Checkers: []workflows.Checker{meaning{}}})
	first := apply(t, c, "sync", "/a", "")
	want := workflows.Applied{
		Summary:  workflows.Summary{ID: "sync", Name: "sync", Folder: "/a", Version: 1, Enabled: true, CreatedAt: start, UpdatedAt: start, UpdatedBy: "system", Revision: 1},
		Changed:  true,
		Created:  true,
		Warnings: []workflows.Problem{{Path: "/name", Code: "no_name", Message: "give it a name", Line: 1, Column: 1}},
	}
	if diff := cmp.Diff(want, first); diff != "" {
		t.Errorf("first: -want +got\n%s", diff)
	}
	if a := apply(t, c, "sync", "/a", ""); a.Changed || a.Created || a.Version != 1 {
		t.Errorf("unchanged: %+v", a)
	}
	if a := apply(t, c, "sync", "/b", `, "name": "Sync"`); !a.Changed || a.Created || a.Version != 2 || len(a.Warnings) != 0 {
		t.Errorf("changed: %+v", a)
	}
}

func TestApplyRefuses(t *testing.T) {
	t.Parallel()
	c, _ := setup(t, workflows.CatalogOptions{Checkers: []workflows.Checker{meaning{}}})
	apply(t, c, "taken", "/a", "")
	tests := []struct {
		name     string
		caller   identity.Caller
		id       workflows.ID
		source   []byte
		expect   int
		kind     fault.Kind
		message  string
		problems string
	}{
		{"not JSON", editor("/"), "n", []byte("{"), -1, fault.Malformed, "the workflow is not valid JSON", "1:2: : [malformed] not valid JSON: the text ends in the middle of a value\n"},
		{"another id", editor("/"), "n", source("m", "/", ""), -1, fault.Invalid, "the workflow has 1 problem", "1:8: /id: [id_mismatch] the id is \"m\" here but \"n\" in the address\n"},
		{
			"structure and meaning at once", editor("/"), "n", []byte("{\"id\": \"n\", \"nodes\":\n {\"a\": {\"type\": \"y\"}, \"b\": {\"type\": \"x\", \"neds\": 1}, \"c\": {}}}"), -1, fault.Invalid, "the workflow has 3 problems",
			"2:17: /nodes/a/type: [unknown_type] no such type\n2:42: /nodes/b/neds: [unknown_field] unknown field \"neds\" (did you mean \"needs\"?)\n2:59: /nodes/c/type: [required] the field \"type\" is required\n",
		},
		{"another folder", editor("/b"), "n", source("n", "/a", ""), -1, fault.Forbidden, "ed needs the right edit_workflows in folder /a", ""},
		{"taking from another folder", editor("/b"), "taken", source("taken", "/b", ""), -1, fault.Forbidden, "ed needs the right edit_workflows in folder /a", ""},
		{"a viewer", identity.Caller{Name: "vic", Role: identity.Viewer, Folder: "/"}, "n", source("n", "/a", ""), -1, fault.Forbidden, "vic needs the right edit_workflows in folder /a", ""},
		{"stale", editor("/"), "taken", source("taken", "/a", `, "name": "new"`), 7, fault.Stale, `workflow "taken" is at version 1, not 7: read it again`, ""},
		{"too large", editor("/"), "n", make([]byte, 1<<20+1), -1, fault.TooLarge, "the workflow is too large", "1:1: : [too_large] the definition has 1048577 bytes; at most 1048576 (1 MiB) are allowed\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := c.Apply(t.Context(), tt.caller, tt.id, tt.source, tt.expect)
			if !fault.Is(err, tt.kind) || fault.Message(err) != tt.message {
				t.Errorf("got %v %q", fault.KindOf(err), fault.Message(err))
			}
			if diff := cmp.Diff(tt.problems, lines(fault.ProblemsOf(err))); diff != "" {
				t.Errorf("problems: -want +got\n%s", diff)
			}
		})
	}
}

// reads is a checker that finds every read of a node that is no ancestor, as the engine does.
type reads struct{}

func (reads) Check(_ context.Context, d *workflows.Definition) (problems, warnings []workflows.Problem) {
	for id, n := range d.Nodes {
		read, _ := n.With["read"].(string)
		if read != "" && !slices.Contains(n.Needs, workflows.NodeID(read)) {
			problems = append(problems, d.Problemf("/nodes/"+string(id)+"/with/read", "not_ancestor", "reads %s", read))
		}
	}
	return problems, nil
}

// What follows from a wrong edge is not reported beside it; what does not is.
func TestValidateLeavesOutWhatFollows(t *testing.T) {
	t.Parallel()
	c := workflows.NewCatalog(nil, workflows.CatalogOptions{Checkers: []workflows.Checker{reads{}}})
	problems, _ := c.Validate(t.Context(), []byte(`{"id": "a", "nodes": {
	  "first": {"type": "x", "needs": ["second"], "with": {"read": "second"}},
	  "second": {"type": "x", "needs": ["first"], "with": {"read": "first"}},
	  "third": {"type": "x", "needs": ["secnd"], "with": {"read": "second"}},
	  "fourth": {"type": "x", "with": {"read": "first"}}
	}}`))
	want := `3:38: /nodes/second/needs/0: [cycle] the needs form a cycle: first → second → first
4:37: /nodes/third/needs/0: [unknown_node] unknown node "secnd" (did you mean "second"?)
5:45: /nodes/fourth/with/read: [not_ancestor] reads first
`
	if diff := cmp.Diff(want, lines(problems)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestValidateStoresNothing(t *testing.T) {
	t.Parallel()
	c := workflows.NewCatalog(nil, workflows.CatalogOptions{Checkers: []workflows.Checker{meaning{}}})
	problems, warnings := c.Validate(t.Context(), source("a", "/", ""))
	if len(problems) != 0 || len(warnings) != 1 {
		t.Errorf("got %v, %v", problems, warnings)
	}
}

func TestCatalogAuthorizes(t *testing.T) {
	t.Parallel()
	c, _ := setup(t, workflows.CatalogOptions{})
	apply(t, c, "sync", "/a", "")
	viewer := identity.Caller{Name: "vic", Role: identity.Viewer, Folder: "/a"}
	stranger := editor("/b")
	ctx := t.Context()
	operations := map[string]func(identity.Caller) error{
		"get":     func(by identity.Caller) error { _, _, err := c.Get(ctx, by, "sync"); return err },
		"version": func(by identity.Caller) error { _, err := c.Version(ctx, by, "sync", 1); return err },
		"list":    func(by identity.Caller) error { _, err := c.Versions(ctx, by, "sync"); return err },
		"switch":  func(by identity.Caller) error { _, err := c.SetEnabled(ctx, by, "sync", false); return err },
		"delete":  func(by identity.Caller) error { return c.Delete(ctx, by, "sync") },
	}
	for name, do := range operations {
		if err := do(stranger); !fault.Is(err, fault.NotFound) {
			t.Errorf("%s by a stranger: %v", name, err)
		}
		err := do(viewer)
		if reading := name != "switch" && name != "delete"; reading && err != nil || !reading && !fault.Is(err, fault.Forbidden) {
			t.Errorf("%s by a viewer: %v", name, err)
		}
	}
	if list, err := c.List(ctx, stranger, workflows.Filter{Limit: 10}); err != nil || len(list) != 0 {
		t.Errorf("a stranger's list: %v, %v", list, err)
	}
	if _, err := c.List(ctx, stranger, workflows.Filter{Folder: "/a", Limit: 10}); !fault.Is(err, fault.Forbidden) {
		t.Errorf("a stranger's list of the folder: %v", err)
	}
	if list, err := c.List(ctx, viewer, workflows.Filter{Limit: 10}); err != nil || len(list) != 1 {
		t.Errorf("a viewer's list: %v, %v", list, err)
	}
}

func TestDefinitionAnswersFromMemory(t *testing.T) {
	t.Parallel()
	c, store := setup(t, workflows.CatalogOptions{})
	apply(t, c, "sync", "/", "")
	first, err := c.Definition(t.Context(), "sync", 0)
	if err != nil {
		t.Fatal(err)
	}
	before := store.reads.Load()
	for range 10 {
		if d, err := c.Definition(t.Context(), "sync", 0); d != first || err != nil {
			t.Fatalf("got another definition, %v", err)
		}
		if s, err := c.Summary(t.Context(), "sync"); s.Version != 1 || err != nil {
			t.Fatalf("Summary: %+v, %v", s, err)
		}
	}
	if after := store.reads.Load(); after != before {
		t.Errorf("%d reads of the store", after-before)
	}
	apply(t, c, "sync", "/", `, "name": "new"`)
	if d, err := c.Definition(t.Context(), "sync", 0); err != nil || d.Name != "new" {
		t.Errorf("after a change: %+v, %v", d, err)
	}
	if d, err := c.Definition(t.Context(), "sync", 1); err != nil || d != first {
		t.Errorf("the old version: %v, %v", d, err)
	}
	if _, err := c.SetEnabled(t.Context(), identity.System(), "sync", false); err != nil {
		t.Fatal(err)
	}
	if s, err := c.Summary(t.Context(), "sync"); err != nil || s.Enabled {
		t.Errorf("after the switch: %+v, %v", s, err)
	}
	if err := c.Delete(t.Context(), identity.System(), "sync"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Summary(t.Context(), "sync"); !fault.Is(err, fault.NotFound) {
		t.Errorf("after the delete: %v", err)
	}
}

func TestSummaryIsReadAgainWhenOthersWrite(t *testing.T) {
	t.Parallel()
	now := start
	c, store := setup(t, workflows.CatalogOptions{Refresh: time.Second, Now: func() time.Time { return now }})
	apply(t, c, "sync", "/", "")
	if _, err := c.Summary(t.Context(), "sync"); err != nil {
		t.Fatal(err)
	}
	d := parse(t, string(source("sync", "/", `, "name": "other process"`)))
	if _, _, err := store.Put(t.Context(), d, nil, "other", -1, now); err != nil {
		t.Fatal(err)
	}
	if s, err := c.Summary(t.Context(), "sync"); err != nil || s.Version != 1 {
		t.Errorf("within a second: %+v, %v", s, err)
	}
	now = now.Add(time.Second)
	if s, err := c.Summary(t.Context(), "sync"); err != nil || s.Version != 2 {
		t.Errorf("after a second: %+v, %v", s, err)
	}
}

type listener struct{ changed []workflows.ID }

func (l *listener) WorkflowChanged(_ context.Context, id workflows.ID) error {
	l.changed = append(l.changed, id)
	return errors.New("cannot listen")
}

func TestListenersAreTold(t *testing.T) {
	t.Parallel()
	l := &listener{}
	c, _ := setup(t, workflows.CatalogOptions{})
	c.AddListener(l)
	apply(t, c, "a", "/", "")
	if _, err := c.SetEnabled(t.Context(), identity.System(), "a", false); err != nil {
		t.Fatal(err)
	}
	if err := c.Delete(t.Context(), identity.System(), "a"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]workflows.ID{"a", "a", "a"}, l.changed); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestUsages(t *testing.T) {
	t.Parallel()
	c, _ := setup(t, workflows.CatalogOptions{})
	apply(t, c, "a", "/", `, "triggers": {"t": {"type": "webhook", "path": "a", "credential": "erp"}}`)
	got, err := c.Usages(t.Context(), "erp")
	if diff := cmp.Diff([]workflows.Usage{{Workflow: "a", Trigger: "t"}}, got, cmpopts.EquateEmpty()); diff != "" || err != nil {
		t.Errorf("%v -want +got\n%s", err, diff)
	}
}

// Apply does not reveal whether a workflow exists that the author may not see. The engine starts
// only what the author may start.
func TestApplyDoesNotTellWhichWorkflowsExist(t *testing.T) {
	t.Parallel()
	c, _ := setup(t, workflows.CatalogOptions{})
	apply(t, c, "pay", "/finance", "")
	for name, test := range map[string]struct {
		caller identity.Caller
		nodes  string
	}{
		"node":         {editor("/it"), `{"a": {"type": "workflow", "with": {"workflow": "pay"}}}`},
		"on_failure":   {editor("/it"), `{"a": {"type": "x"}}, "on_failure": "pay"`},
		"with right":   {editor("/"), `{"a": {"type": "workflow", "with": {"workflow": "pay"}}}`},
		"computed":     {editor("/it"), `{"a": {"type": "workflow", "with": {"workflow": "{{ input.w }}"}}}`},
		"unknown":      {editor("/it"), `{"a": {"type": "workflow", "with": {"workflow": "nope"}}}`},
		"itself":       {editor("/it"), `{"a": {"type": "x"}}, "on_failure": "w"`},
		"another type": {editor("/it"), `{"a": {"type": "x", "with": {"workflow": "pay"}}}`},
	} {
		applied, err := c.Apply(t.Context(), test.caller, "w", []byte(`{"id": "w", "folder": "/it", "nodes": `+test.nodes+`}`), -1)
		if err != nil || len(applied.Warnings) > 0 {
			t.Errorf("%s: %v, warnings %v", name, err, applied.Warnings)
		}
	}
}
