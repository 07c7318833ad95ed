package web

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyflow/engine/runs"
	"keyflow/internal/database"
	"keyflow/internal/database/databasetest"
	"keyflow/internal/identity"
)

// stepKeys are the steps of an answer, as node or node.index.
func stepKeys(t *testing.T, list any) (keys []string) {
	t.Helper()
	items, ok := list.([]any)
	if !ok {
		t.Fatalf("steps are %v", list)
	}
	for _, item := range items {
		step, _ := item.(map[string]any)
		key := fmt.Sprint(step["node"])
		if index, ok := step["index"].(float64); ok {
			key += fmt.Sprintf(".%d", int(index))
		}
		keys = append(keys, key)
	}
	return keys
}

// A run with few steps is answered with all of them; of one with many the answer has counts and
// the first page, and the pages behind it are read one by one.
func TestRunsWithManySteps(t *testing.T) {
	t.Parallel()
	s := newSetup(t, func(d *Deps) { d.Runs = newEngine(t, d) })
	admin := s.admin()
	admin.run([]scenario{{name: "workflow", method: "PUT", path: "/api/v1/workflows/many", status: 201, body: `{"id":"many",
		"nodes":{"last":{"type":"transform","needs":["each"],"with":{"value":1}},"each":{"type":"transform","for_each":"input.list","with":{"value":"{{ item }}"}}}}`}})
	start := func(n int) (map[string]any, string) {
		list, err := json.Marshal(make([]int, n))
		if err != nil {
			t.Fatal(err)
		}
		run := admin.do("POST", "/api/v1/workflows/many/runs?wait=60s", `{"input":{"list":`+string(list)+`}}`).json(t)
		id, _ := run["id"].(string)
		return run, id
	}
	want := []string{"each", "last"}
	for i := range 450 {
		want = append(want, fmt.Sprintf("each.%d", i))
	}

	few, _ := start(198)
	if keys := stepKeys(t, few["steps"]); len(keys) != 200 || few["steps_cursor"] != nil {
		t.Errorf("a run of 200 steps is answered with %d, and cursor %v", len(keys), few["steps_cursor"])
	}
	many, id := start(450)
	path := "/api/v1/runs/" + id
	for name, run := range map[string]map[string]any{"answer to the start": many, "run": admin.do("GET", path, "").json(t)} {
		if diff := cmp.Diff(want[:200], stepKeys(t, run["steps"])); diff != "" {
			t.Errorf("%s: first page: -want +got\n%s", name, diff)
		}
		counts, _ := run["step_counts"].(map[string]any)
		if counts["succeeded"] != 452.0 || len(counts) != 1 || run["steps_cursor"] != "each.197" {
			t.Errorf("%s: counts %v, cursor %v", name, counts, run["steps_cursor"])
		}
	}
	got := stepKeys(t, many["steps"])
	for cursor, ok := "each.197", true; ok; {
		page := admin.do("GET", path+"/steps?limit=100&cursor="+cursor, "").json(t)
		got = append(got, stepKeys(t, page["items"])...)
		cursor, ok = page["next_cursor"].(string)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("all pages: -want +got\n%s", diff)
	}
	admin.run([]scenario{
		{name: "one node", method: "GET", path: path + "/steps?node=last", status: 200, has: []string{`"node":"last"`, `"next_cursor":null`}, hasNot: []string{`"node":"each"`}},
		{name: "one status", method: "GET", path: path + "/steps?status=failed", status: 200, has: []string{`{"items":[],"next_cursor":null}`}},
		{name: "no status", method: "GET", path: path + "/steps?status=done", status: 422},
		{name: "no cursor", method: "GET", path: path + "/steps?cursor=each.x", status: 422, has: []string{`"path":"?cursor"`}},
		{name: "no run", method: "GET", path: "/api/v1/runs/01970000-0000-7000-8000-000000000000/steps", status: 404},
	})
	s.with(s.token(identity.Admin, "/hr")).run([]scenario{{name: "another folder", method: "GET", path: path + "/steps", status: 404}})
}

// Of a run whose stored data is damaged people see what can be read, and can delete it.
func TestDamagedRunsAreShown(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ab", 20<<10)
	const says = "the stored data of run %s is damaged: restore the database from a backup, or delete the run"
	for name, tt := range map[string]struct {
		damage string // an SQL statement with the run's id
		has    []string
	}{
		"input":       {"DELETE FROM blobs WHERE run = ?", []string{`"status":"succeeded"`, `"input":null`, `"output":1`, `"error":{"code":"internal","message":"` + says + `"}`}},
		"step detail": {`UPDATE steps SET detail = x'7b226122203a20317d' WHERE run = ?`, []string{`"error":null`, `"output":1`, `"error":{"code":"internal","message":"the stored data of this step is damaged`}},
		"run's error": {`UPDATE runs SET failure = x'7b' WHERE id = ?`, []string{`"error":{"code":"internal","message":"` + says + `"}`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := databasetest.SQLite(t)
			s := newSetup(t, func(d *Deps) { d.Runs = newEngineOn(t, d, db) })
			admin := s.admin()
			admin.run([]scenario{{name: "workflow", method: "PUT", path: "/api/v1/workflows/w", status: 201, body: `{"id":"w","nodes":{"a":{"type":"transform","with":{"value":1}}},"output":"{{ nodes.a.output }}"}`}})
			id, _ := admin.do("POST", "/api/v1/workflows/w/runs?wait=60s", `{"input":{"x":"`+long+`"}}`).json(t)["id"].(string)
			damage(t, db, tt.damage, id)
			for i := range tt.has {
				tt.has[i] = strings.ReplaceAll(tt.has[i], "%s", id)
			}
			path := "/api/v1/runs/" + id
			admin.run([]scenario{
				{name: "run", method: "GET", path: path, status: 200, has: tt.has},
				{name: "steps", method: "GET", path: path + "/steps", status: 200, has: []string{`"node":"a"`}},
				{name: "list", method: "GET", path: "/api/v1/runs", status: 200, has: []string{id}},
				{name: "delete", method: "DELETE", path: path, status: 204},
			})
		})
	}
}

func damage(t *testing.T, db *database.DB, statement, id string) {
	t.Helper()
	var run runs.ID
	if err := run.UnmarshalText([]byte(id)); err != nil {
		t.Fatal(err)
	}
	if err := db.Write().Exec(statement, run[:]).Error; err != nil {
		t.Fatal(err)
	}
}
