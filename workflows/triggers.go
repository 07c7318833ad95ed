package workflows

import (
	"encoding/json"

	"keyflow/internal/fault"
)

// Triggers reads the part of a current definition that says when it starts: ID, Vars and Triggers,
// with their defaults. Nothing else is set: triggers are read of every workflow at the start of
// the server, and nodes are most of the text. The definition was valid when it was stored; the
// engine finds nodes that this release refuses.
func (c Change) Triggers() (*Definition, error) {
	var parts struct {
		Vars     json.RawMessage `json:"vars"`
		Triggers json.RawMessage `json:"triggers"`
	}
	if err := json.Unmarshal(c.Source, &parts); err != nil {
		return nil, fault.New(fault.Invalid, "%s: the stored definition is not JSON", c.ID).Because(err)
	}
	d := &Definition{ID: c.ID}
	if parts.Triggers == nil {
		return d, nil
	}
	source := append([]byte(`{"triggers":`), parts.Triggers...)
	if parts.Vars != nil {
		source = append(append(source, `,"vars":`...), parts.Vars...)
	}
	r := newReport(source)
	root := readSyntax(append(source, '}'), r)
	if root != nil {
		d.triggerFields().read(r, root)
	}
	d.fillTriggers()
	if problems := r.sorted(); root == nil || len(problems) > 0 {
		f := fault.Problems("the triggers of the stored definition are not valid in this release", problems)
		f.Message = string(c.ID) + ": " + f.Message
		return nil, f
	}
	return d, nil
}

// triggerFields are the fields of a definition that Change.Triggers reads.
func (d *Definition) triggerFields() fields {
	var out fields
	for _, f := range d.fields() {
		if f.name == "vars" || f.name == "triggers" {
			out = append(out, f)
		}
	}
	return out
}
