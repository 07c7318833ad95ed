// Package workflowstest holds the conformance suite that every workflows.Store must pass,
// so that the implementations cannot differ in what they promise. It knows no
// implementation.
package workflowstest

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyflow/internal/fault"
	"keyflow/workflows"
)

// TestStore runs the suite; open returns a fresh, empty store for each call.
func TestStore(t *testing.T, open func() workflows.Store) {
	t.Helper()
	tests := []struct {
		name string
		run  func(t *testing.T, s workflows.Store)
	}{
		{"put makes versions", testPutVersions},
		{"an unchanged definition makes no version", testUnchanged},
		{"the switch is no part of a version", testSwitch},
		{"expected version", testExpected},
		{"absent objects are not found", testAbsent},
		{"a deleted workflow keeps its history", testDelete},
		{"a deleted workflow can be made again", testRecreate},
		{"list by folder and page", testList},
		{"usages of credentials", testUsages},
		{"concurrent puts make one version each", testConcurrentPuts},
		{"changes follow each other", testChanges},
		{"a change is not overtaken", testConcurrentChanges},
	}
	for _, tt := range tests {
		s := open()
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.run(t, s)
		})
	}
}

// Time is when the suite's changes happen; stores keep microseconds.
var Time = time.Date(2026, 11, 5, 9, 30, 0, 123456000, time.UTC)

// Definition parses a workflow with one node; extra holds further top-level members.
func Definition(t *testing.T, id, folder string, extra ...string) *workflows.Definition {
	t.Helper()
	source := fmt.Sprintf(`{"id": %q, "folder": %q, "nodes": {"a": {"type": "transform"}}%s}`, id, folder, strings.Join(append([]string{""}, extra...), ", "))
	d, problems := workflows.Parse([]byte(source))
	if len(problems) > 0 {
		t.Fatalf("test definition: %v", problems)
	}
	return d
}

func put(t *testing.T, s workflows.Store, d *workflows.Definition) (workflows.Summary, bool) {
	t.Helper()
	sum, changed, err := s.Put(t.Context(), d, d.Enabled, "ann", -1, Time)
	if err != nil {
		t.Fatalf("Put: %v", err)
	}
	return sum, changed
}

func wantKind(t *testing.T, err error, kind fault.Kind, message string) {
	t.Helper()
	if !fault.Is(err, kind) || fault.Message(err) != message {
		t.Errorf("got %v %q, want %v %q", fault.KindOf(err), fault.Message(err), kind, message)
	}
}

func testPutVersions(t *testing.T, s workflows.Store) {
	t.Helper()
	first, second := Definition(t, "sync", "/a"), Definition(t, "sync", "/b", `"name": "Sync"`)
	sum, changed := put(t, s, first)
	want := workflows.Summary{ID: "sync", Name: "sync", Folder: "/a", Version: 1, Enabled: true, CreatedAt: Time, UpdatedAt: Time, UpdatedBy: "ann", Revision: 1}
	if diff := cmp.Diff(want, sum); diff != "" || !changed {
		t.Errorf("first Put (changed %t): -want +got\n%s", changed, diff)
	}
	later := Time.Add(time.Hour)
	sum, changed, err := s.Put(t.Context(), second, nil, "bob", 1, later)
	if err != nil {
		t.Fatalf("Put: %v", err)
	}
	want = workflows.Summary{ID: "sync", Name: "Sync", Folder: "/b", Version: 2, Enabled: true, CreatedAt: Time, UpdatedAt: later, UpdatedBy: "bob", Revision: 2}
	if diff := cmp.Diff(want, sum); diff != "" || !changed {
		t.Errorf("second Put (changed %t): -want +got\n%s", changed, diff)
	}
	got, err := s.Get(t.Context(), "sync")
	if err != nil {
		t.Fatalf("Get: %v", err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Get: -want +got\n%s", diff)
	}
	versions, err := s.Versions(t.Context(), "sync")
	if err != nil || len(versions) != 2 {
		t.Fatalf("Versions: %v, %v", versions, err)
	}
	wantVersion(t, versions[0], 2, "bob", later, second)
	wantVersion(t, versions[1], 1, "ann", Time, first)
	for number, d := range map[int]*workflows.Definition{0: second, 1: first, 2: second} {
		v, err := s.Version(t.Context(), "sync", number)
		if err != nil || string(v.JSON()) != string(d.Source) {
			t.Errorf("Version %d: %s, %v", number, v.JSON(), err)
		}
	}
}

func wantVersion(t *testing.T, v workflows.Version, number int, by string, at time.Time, d *workflows.Definition) {
	t.Helper()
	if v.Workflow != d.ID || v.Number != number || v.CreatedBy != by || !v.CreatedAt.Equal(at) || string(v.JSON()) != string(d.Source) {
		t.Errorf("got version %d of %s by %s at %v: %s", v.Number, v.Workflow, v.CreatedBy, v.CreatedAt, v.JSON())
	}
}

func testUnchanged(t *testing.T, s workflows.Store) {
	t.Helper()
	put(t, s, Definition(t, "sync", "/"))
	spaced, _ := workflows.Parse([]byte("{\n \"$schema\": \"x\", \"id\": \"sync\",  \"folder\": \"/\", \"nodes\": {\"a\": {\"type\": \"transform\"}}}"))
	sum, changed, err := s.Put(t.Context(), spaced, nil, "bob", -1, Time.Add(time.Hour))
	if err != nil || changed || sum.Version != 1 || sum.UpdatedBy != "ann" || !sum.UpdatedAt.Equal(Time) {
		t.Errorf("got %+v changed %t, %v", sum, changed, err)
	}
}

func testSwitch(t *testing.T, s workflows.Store) {
	t.Helper()
	d := Definition(t, "sync", "/")
	put(t, s, Definition(t, "sync", "/", `"enabled": false`))
	if sum, changed := put(t, s, d); sum.Enabled || changed {
		t.Errorf("an unstated switch changed: %+v changed %t", sum, changed)
	}
	if sum, changed := put(t, s, Definition(t, "sync", "/", `"enabled": true`)); !sum.Enabled || changed || sum.Version != 1 {
		t.Errorf("a stated switch did not: %+v changed %t", sum, changed)
	}
	later := Time.Add(time.Minute)
	sum, err := s.SetEnabled(t.Context(), "sync", false, "eve", later)
	if err != nil || sum.Enabled || sum.Version != 1 || sum.UpdatedBy != "eve" || !sum.UpdatedAt.Equal(later) {
		t.Errorf("SetEnabled: %+v, %v", sum, err)
	}
	if sum, _ := put(t, s, Definition(t, "sync", "/", `"name": "new"`)); sum.Enabled || sum.Version != 2 {
		t.Errorf("a new version turned the switch: %+v", sum)
	}
}

func testExpected(t *testing.T, s workflows.Store) {
	t.Helper()
	d, next := Definition(t, "sync", "/"), Definition(t, "sync", "/", `"name": "next"`)
	_, _, err := s.Put(t.Context(), d, nil, "ann", 3, Time)
	wantKind(t, err, fault.Stale, `workflow "sync" does not exist any more`)
	if _, _, err := s.Put(t.Context(), d, nil, "ann", 0, Time); err != nil {
		t.Fatalf("Put of a new one: %v", err)
	}
	_, _, err = s.Put(t.Context(), next, nil, "ann", 0, Time)
	wantKind(t, err, fault.Stale, `workflow "sync" exists already, at version 1`)
	_, _, err = s.Put(t.Context(), next, nil, "ann", 2, Time)
	wantKind(t, err, fault.Stale, `workflow "sync" is at version 1, not 2: read it again`)
	if sum, changed, err := s.Put(t.Context(), next, nil, "ann", 1, Time); err != nil || !changed || sum.Version != 2 {
		t.Errorf("Put with the right version: %+v, %v", sum, err)
	}
}

func testAbsent(t *testing.T, s workflows.Store) {
	t.Helper()
	put(t, s, Definition(t, "sync", "/"))
	_, err := s.Get(t.Context(), "nope")
	wantKind(t, err, fault.NotFound, `workflow "nope" does not exist`)
	_, err = s.Version(t.Context(), "nope", 0)
	wantKind(t, err, fault.NotFound, `workflow "nope" does not exist`)
	_, err = s.Version(t.Context(), "sync", 7)
	wantKind(t, err, fault.NotFound, `version 7 of workflow "sync" does not exist`)
	_, err = s.Versions(t.Context(), "nope")
	wantKind(t, err, fault.NotFound, `workflow "nope" does not exist`)
	_, err = s.SetEnabled(t.Context(), "nope", true, "ann", Time)
	wantKind(t, err, fault.NotFound, `workflow "nope" does not exist`)
	wantKind(t, s.Delete(t.Context(), "nope"), fault.NotFound, `workflow "nope" does not exist`)
}

func testDelete(t *testing.T, s workflows.Store) {
	t.Helper()
	d := Definition(t, "sync", "/")
	put(t, s, d)
	if err := s.Delete(t.Context(), "sync"); err != nil {
		t.Fatalf("Delete: %v", err)
	}
	_, err := s.Get(t.Context(), "sync")
	wantKind(t, err, fault.NotFound, `workflow "sync" does not exist`)
	wantKind(t, s.Delete(t.Context(), "sync"), fault.NotFound, `workflow "sync" does not exist`)
	_, err = s.Version(t.Context(), "sync", 0)
	wantKind(t, err, fault.NotFound, `workflow "sync" does not exist`)
	if list, err := s.List(t.Context(), workflows.Filter{Limit: 10}); err != nil || len(list) != 0 {
		t.Errorf("List: %v, %v", list, err)
	}
	v, err := s.Version(t.Context(), "sync", 1)
	if err != nil || string(v.JSON()) != string(d.Source) {
		t.Errorf("Version 1: %s, %v", v.JSON(), err)
	}
}

func testRecreate(t *testing.T, s workflows.Store) {
	t.Helper()
	d := Definition(t, "sync", "/", `"enabled": false`)
	put(t, s, d)
	if err := s.Delete(t.Context(), "sync"); err != nil {
		t.Fatalf("Delete: %v", err)
	}
	again, later := Definition(t, "sync", "/"), Time.Add(time.Hour)
	sum, changed, err := s.Put(t.Context(), again, nil, "bob", 0, later)
	want := workflows.Summary{ID: "sync", Name: "sync", Folder: "/", Version: 2, Enabled: true, CreatedAt: later, UpdatedAt: later, UpdatedBy: "bob", Revision: 3}
	if diff := cmp.Diff(want, sum); err != nil || !changed || diff != "" {
		t.Errorf("Put: changed %t, %v, -want +got\n%s", changed, err, diff)
	}
}

func testList(t *testing.T, s workflows.Store) {
	t.Helper()
	for id, folder := range map[string]string{"c": "/a", "b": "/a/x", "a-b": "/", "a_b": "/ab", "ab": "/a"} {
		put(t, s, Definition(t, id, folder))
	}
	tests := []struct {
		filter workflows.Filter
		want   string
	}{
		{workflows.Filter{Limit: 10}, "a-b a_b ab b c"}, // by byte, on every database
		{workflows.Filter{Folder: "/", Limit: 10}, "a-b a_b ab b c"},
		{workflows.Filter{Folder: "/a", Limit: 10}, "ab b c"},
		{workflows.Filter{Folder: "/a/x", Limit: 10}, "b"},
		{workflows.Filter{Folder: "/nope", Limit: 10}, ""},
		{workflows.Filter{Limit: 2}, "a-b a_b"},
		{workflows.Filter{After: "a_b", Limit: 2}, "ab b"},
		{workflows.Filter{After: "c", Limit: 2}, ""},
		{workflows.Filter{Query: "A", Limit: 10}, "a-b a_b ab"},
		{workflows.Filter{Query: "a_", Limit: 10}, "a_b"}, // no wildcard
		{workflows.Filter{Query: "b", Folder: "/a", After: "ab", Limit: 10}, "b"},
	}
	for _, tt := range tests {
		list, err := s.List(t.Context(), tt.filter)
		var ids []string
		for _, w := range list {
			ids = append(ids, string(w.ID))
		}
		if got := strings.Join(ids, " "); err != nil || got != tt.want {
			t.Errorf("List(%+v) = %q, %v; want %q", tt.filter, got, err, tt.want)
		}
	}
}

func testUsages(t *testing.T, s workflows.Store) {
	t.Helper()
	with := func(id, nodes, triggers string) *workflows.Definition {
		d, problems := workflows.Parse(fmt.Appendf(nil, `{"id": %q, "nodes": {%s}, "triggers": {%s}}`, id, nodes, triggers))
		if len(problems) > 0 {
			t.Fatalf("test definition: %v", problems)
		}
		return d
	}
	put(t, s, with("b", `"y": {"type": "x", "credential": "erp"}, "x": {"type": "x", "credential": "erp"}, "z": {"type": "x", "credential": "{{ vars.c }}"}`,
		`"form": {"type": "webhook", "path": "f", "credential": "erp"}`))
	put(t, s, with("a", `"n": {"type": "x", "credential": "erp"}, "m": {"type": "x", "credential": "crm"}`, ``))
	want := []workflows.Usage{{Workflow: "a", Node: "n"}, {Workflow: "b", Trigger: "form"}, {Workflow: "b", Node: "x"}, {Workflow: "b", Node: "y"}}
	wantUsages(t, s, "erp", want)
	wantUsages(t, s, "nope", []workflows.Usage{})
	put(t, s, with("a", `"n": {"type": "x", "credential": "crm"}`, ``))
	wantUsages(t, s, "crm", []workflows.Usage{{Workflow: "a", Node: "n"}})
	if err := s.Delete(t.Context(), "b"); err != nil {
		t.Fatalf("Delete: %v", err)
	}
	wantUsages(t, s, "erp", []workflows.Usage{})

	put(t, s, with("c", `"n": {"type": "x", "credential": "crm"}, "m": {"type": "x", "credential": "crm"}`, ``))
	naming, existing, err := s.Users(t.Context(), []string{"crm", "erp", "nope"}, []workflows.ID{"c", "b", "never", "a"})
	if err != nil {
		t.Fatalf("Users: %v", err)
	}
	if diff := cmp.Diff(map[string][]workflows.ID{"crm": {"a", "c"}}, naming); diff != "" {
		t.Errorf("naming (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]workflows.ID{"a", "c"}, existing); diff != "" {
		t.Errorf("existing (-want +got):\n%s", diff)
	}
	if naming, existing, err := s.Users(t.Context(), nil, nil); err != nil || len(naming) != 0 || len(existing) != 0 {
		t.Errorf("users of nothing: %v, %v, %v", naming, existing, err)
	}
}

func wantUsages(t *testing.T, s workflows.Store, credential string, want []workflows.Usage) {
	t.Helper()
	got, err := s.Usages(t.Context(), credential)
	if err != nil {
		t.Fatalf("Usages: %v", err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Usages(%s): -want +got\n%s", credential, diff)
	}
}

func testConcurrentPuts(t *testing.T, s workflows.Store) {
	t.Helper()
	const n = 8
	put(t, s, Definition(t, "sync", "/"))
	var wg sync.WaitGroup
	errs := make([]error, n)
	for i := range n {
		d := Definition(t, "sync", "/", fmt.Sprintf(`"name": "n%d"`, i))
		wg.Go(func() { _, _, errs[i] = s.Put(t.Context(), d, nil, "ann", -1, Time) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			t.Errorf("Put: %v", err)
		}
	}
	if sum, err := s.Get(t.Context(), "sync"); err != nil || sum.Version != n+1 {
		t.Errorf("got version %d, %v; want %d", sum.Version, err, n+1)
	}
}
