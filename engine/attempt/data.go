package attempt

import (
	"maps"
	"slices"

	"keyflow/engine/values"
	"keyflow/internal/expression"
)

// variables are what the expressions of the step may read. What is decoded again after rest is
// kept until the attempt ends: a node that reads page after page would decode it with each. A
// node may evaluate concurrently.
func (s *Attempt) variables() (map[string]any, error) {
	if !s.rested {
		return s.reading.Vars, nil
	}
	s.rereading.Lock()
	defer s.rereading.Unlock()
	if s.reading.Vars != nil {
		return s.reading.Vars, nil
	}
	now, err := s.host.Vars(&s.Node.Reads)
	s.addItem(now.Vars)
	if err == nil {
		s.reading = now
	}
	return now.Vars, err
}

// rest lets go of large payloads for as long as the node works: what it needs of them is in
// its parameters.
func (s *Attempt) rest() {
	if len(s.reading.Alive) > 0 {
		s.reading, s.rested = values.Reading{}, true
	}
}

// env is what one expression or template of a step reads. site names its place in the node:
// uuid() gives the same values again when the same place of the same step is evaluated
// again, after a crash and in a retry. extra are further names and their values, in pairs.
func (s *Attempt) env(site string, extra ...any) expression.Env {
	vars, err := s.variables()
	if err != nil { // it was decoded before
		s.Log().Error("what a step reads cannot be read again", "error", err)
	}
	if len(extra) > 0 {
		vars = maps.Clone(vars)
		if vars == nil {
			vars = make(map[string]any, len(extra)/2)
		}
		for pair := range slices.Chunk(extra, 2) {
			vars[pair[0].(string)] = pair[1]
		}
	}
	env := values.Environment(s.Run.ID, s.name+"/"+site, s.Ready, vars)
	env.CallbackURL = func(node string) (string, error) { return s.process.Callbacks.For(s.Plan, s.Run.ID, node) }
	return env
}
