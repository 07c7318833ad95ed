package enginetest

import (
	"encoding/json"
	"fmt"
	"strings"

	"keyflow/engine/runs"
	"keyflow/internal/fault"
	"keyflow/workflows"
)

// stepPages reads the pages of a run whose nodes are not stored in the order of their names.
func (s *suite) stepPages() {
	r := s.owned(1)
	other := s.owned(1)
	s.commit(create(r), create(other))
	step := func(node workflows.NodeID, index int, status runs.StepStatus) runs.Step {
		long := json.RawMessage(fmt.Sprintf(`"%s%d"`, strings.Repeat("y", 33<<10), index%3))
		return runs.Step{Node: node, Index: index, Status: status, StartedAt: s.at(0), Output: long}
	}
	var want []runs.Step // in the order of pages
	for _, node := range []workflows.NodeID{"A", "_z", "b", "c"} {
		want = append(want, step(node, runs.NoIndex, runs.StepSucceeded))
	}
	for _, node := range []workflows.NodeID{"A", "c"} {
		for i := range 7 {
			status := runs.StepSucceeded
			if i%2 == 1 {
				status = runs.StepFailed
			}
			want = append(want, step(node, i, status))
		}
	}
	stored := append([]runs.Step{}, want[4:]...)
	s.commit(progress(other, nil, want[:3]...), progress(r, nil, append(stored, want[3], want[2], want[1], want[0])...))

	fits := func(f runs.StepFilter, step runs.Step) bool {
		return (f.Node == "" || f.Node == step.Node) && (f.Status == "" || f.Status == step.Status)
	}
	for name, f := range map[string]runs.StepFilter{
		"all": {}, "node": {Node: "c"}, "status": {Status: runs.StepFailed}, "both": {Node: "A", Status: runs.StepSucceeded},
		"unknown node": {Node: "x"}, "no such status": {Status: runs.StepSkipped},
	} {
		var fit []runs.Step
		for _, step := range want {
			if fits(f, step) {
				fit = append(fit, step)
			}
		}
		for _, limit := range []int{1, 3, 5, 500} {
			s.equal(fmt.Sprintf("%s, %d at a time", name, limit), s.walk(r.ID, f, limit), fit)
		}
	}
	counts, err := s.Store.StepCounts(s.ctx, r.ID)
	if err != nil {
		s.Fatal(err)
	}
	s.equal("counts", counts, map[runs.StepStatus]int{runs.StepSucceeded: 12, runs.StepFailed: 6})
	if none, err := s.Store.StepCounts(s.ctx, s.id()); err != nil || len(none) != 0 {
		s.Errorf("counts of an unknown run: %v, %v", none, err)
	}
	for _, limit := range []int{0, 501} {
		if _, err := s.Store.StepPage(s.ctx, runs.StepFilter{Run: r.ID, Limit: limit}); fault.Message(err) != "limit must be between 1 and 500" {
			s.Errorf("limit %d: %v", limit, err)
		}
	}
	if _, err := s.Store.StepPage(s.ctx, runs.StepFilter{Run: r.ID, Status: "done", Limit: 1}); fault.Message(err) != `unknown status "done"` {
		s.Errorf("unknown status: %v", err)
	}
}

// walk reads all pages of the matching steps.
func (s *suite) walk(id runs.ID, f runs.StepFilter, limit int) (all []runs.Step) {
	s.Helper()
	f.Run, f.Limit = id, limit
	for {
		page, err := s.Store.StepPage(s.ctx, f)
		if err != nil {
			s.Fatal(err)
		}
		all = append(all, page...)
		if len(page) < limit {
			return all
		}
		f.After = page[len(page)-1].Place()
	}
}
