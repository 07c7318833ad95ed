package attempt

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"

	"keyflow/engine/runs"
	"keyflow/engine/values"
	"keyflow/internal/expression"
	"keyflow/internal/jsonvalue"
	"keyflow/nodes"
)

// seal puts a sensitive output into out: sealed, and to look at as jsonvalue.Mask.
func (s *Attempt) seal(raw json.RawMessage, cookies []int, out *Outcome) *nodes.Error {
	sealer := s.process.Sealer
	if sealer == nil {
		return &nodes.Error{Code: nodes.CodeInternal, Message: "this process cannot seal the output of a sensitive node"}
	}
	content, shown := s.sealedCookies(raw, cookies)
	sealed, err := sealer.SealOutput(s.Run.ID.String(), string(s.Node.ID), s.Key.Index, content)
	if err != nil {
		return &nodes.Error{Code: nodes.CodeInternal, Message: "the output of a sensitive node could not be sealed", Err: err}
	}
	out.Output, out.Value, out.Sealed = json.RawMessage(`"`+jsonvalue.Mask+`"`), shown, sealed
	return nil
}

// paramEnv is what the template of a parameter reads.
func (s *Attempt) paramEnv(decl *nodes.Param) (expression.Env, error) {
	env := s.env("with/" + decl.Name)
	if !decl.Sealed || len(s.sealed) == 0 {
		return env, nil
	}
	seen, _ := env.Vars["nodes"].(map[string]any)
	seen = maps.Clone(seen)
	for n, sealed := range s.sealed {
		id := string(s.Plan.Nodes[n].ID)
		output, err := s.open(id, sealed)
		if err != nil {
			return env, fmt.Errorf("output of %s: %w", id, err)
		}
		node, _ := seen[id].(map[string]any)
		node = maps.Clone(node)
		node["output"] = output
		seen[id] = node
	}
	env.Vars = maps.Clone(env.Vars)
	env.Vars["nodes"] = seen
	return env, nil
}

// open returns a sealed output, or the list of those of a for_each, as plain data.
func (s *Attempt) open(node string, sealed any) (any, error) {
	one := func(index int, text []byte) (any, error) {
		if text == nil {
			return nil, nil // a failed element
		}
		raw, err := s.process.Sealer.OpenOutput(s.Run.ID.String(), node, index, text)
		if err != nil {
			return nil, err
		}
		raw, _, _ = bytes.Cut(raw, values.CookieMarks)
		return jsonvalue.Decode(raw)
	}
	list, ok := sealed.([][]byte)
	if !ok {
		return one(runs.NoIndex, sealed.([]byte))
	}
	out := make([]any, len(list))
	for i, text := range list {
		var err error
		if out[i], err = one(i, text); err != nil {
			return nil, fmt.Errorf("element %d: %w", i, err)
		}
	}
	return out, nil
}

// hideAnswer takes out of an error what a sensitive node got as an answer, and its cause, which
// may quote it.
func (s *Attempt) hideAnswer(err *nodes.Error) *nodes.Error {
	if !s.Node.Sensitive {
		return err
	}
	shown := *err
	shown.Err = nil
	if err.Response != nil {
		shown.Response = map[string]any{"status": err.Status, "headers": jsonvalue.Mask, "body": jsonvalue.Mask}
	}
	return &shown
}

// hideDetails is the error of an expression that sees the output of a sensitive node.
func (s *Attempt) hideDetails(err *nodes.Error, where string) *nodes.Error {
	if !s.Node.Sensitive {
		return err
	}
	return values.WithoutDetails(err, where)
}
