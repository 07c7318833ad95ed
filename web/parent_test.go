package web

import (
	"encoding/json"
	"testing"
)

func TestAChildNamesItsParent(t *testing.T) {
	t.Parallel()
	s := newSetup(t, func(d *Deps) { d.Runs = newEngine(t, d) })
	admin := s.admin()
	admin.run([]scenario{
		{name: "child", method: "PUT", path: "/api/v1/workflows/child", status: 201, body: `{"id":"child","nodes":{"a":{"type":"approval","with":{"message":"go on?"}}}}`},
		{name: "parent", method: "PUT", path: "/api/v1/workflows/parent", status: 201, body: `{"id":"parent","nodes":{
			"one":{"type":"workflow","with":{"workflow":"child"}},
			"each":{"type":"workflow","for_each":"[1]","with":{"workflow":"child"}}}}`},
	})
	parent, _ := admin.do("POST", "/api/v1/workflows/parent/runs", `{"input":{}}`).json(t)["id"].(string)
	_, next := admin.events("/api/v1/runs/"+parent+"/events", "")
	children := map[string]string{} // node to run
	for e, ok := next(); ok && len(children) < 2; e, ok = next() {
		var step struct {
			Node   string
			Status string
			Output struct {
				RunID string `json:"run_id"`
			}
		}
		if err := json.Unmarshal([]byte(e.data), &step); err == nil && step.Status == "waiting" && step.Output.RunID != "" {
			children[step.Node] = step.Output.RunID
		}
	}
	admin.run([]scenario{
		{name: "of a step", method: "GET", path: "/api/v1/runs/" + children["one"], status: 200, has: []string{`"parent":{"run":"` + parent + `","node":"one"}`}},
		{name: "of an element", method: "GET", path: "/api/v1/runs/" + children["each"], status: 200, has: []string{`"parent":{"run":"` + parent + `","node":"each","index":0}`}},
	})
}
