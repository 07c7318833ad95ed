package workflows

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
)

// Parse reads a definition strictly and fills in its defaults. It returns all problems at
// once, in file order, each with JSON pointer, line and column; a definition without
// problems is structurally valid.
//
// With problems the definition has the valid parts, without wrong edges, so that checkers can find
// more; it must not be stored or run. It is nil when the source is not JSON.
func Parse(source []byte) (*Definition, []Problem) {
	r := newReport(source)
	root := readSyntax(source, r)
	if root == nil {
		return nil, r.sorted()
	}
	d := &Definition{Source: source, Positions: positions(root, r)}
	d.fields().read(r, root)
	d.fill()
	c := checker{definition: d, report: r, root: root}
	c.check()
	d.Digest = digest(root)
	return d, r.sorted()
}

// fill sets the defaults of docs/reference/workflow-format.md.
func (d *Definition) fill() {
	setDefault(&d.Name, string(d.ID))
	setDefault(&d.Folder, "/")
	setDefault(&d.Timeout, defaultTimeout)
	setDefault(&d.OnNeedsConnect, Wait)
	if d.OnNeedsConnect == Wait {
		setDefault(&d.NeedsConnectTimeout, defaultHold)
	}
	if d.Concurrency != nil {
		setDefault(&d.Concurrency.OnLimit, OnLimitQueue)
	}
	for id, n := range d.Nodes {
		setDefault(&n.Name, string(id))
		setDefault(&n.RunOn, RunOnSuccess)
		setDefault(&n.MaxParallel, 1)
		setDefault(&n.OnItemError, Fail)
		setDefault(&n.OnError, Fail)
	}
	d.fillTriggers()
}

func (d *Definition) fillTriggers() {
	for id, t := range d.Triggers {
		t.fill()
		d.Triggers[id] = t
	}
}

func (t *Trigger) fill() {
	switch t.Type {
	case TriggerCron:
		setDefault(&t.Timezone, "UTC")
		setDefault(&t.Overlap, OverlapAllow)
		if t.CatchUp == nil {
			t.CatchUp = new(defaultCatchUp)
		}
	case TriggerWebhook:
		if t.Methods == nil {
			t.Methods = []string{"POST"}
		}
		setDefault(&t.Respond, RespondOnAccept)
		setDefault(&t.RespondTimeout, defaultRespondIn)
	}
}

func setDefault[T comparable](into *T, value T) {
	var zero T
	if *into == zero {
		*into = value
	}
}

// positionDepth bounds the positions kept; a deeper problem is shown at its ancestor.
const positionDepth = 16

func positions(root *value, r *report) Positions {
	all := make(Positions)
	var walk func(v *value, depth int)
	walk = func(v *value, depth int) {
		all[v.pointer] = r.position(v.start)
		if depth == positionDepth {
			return
		}
		for _, item := range v.items {
			walk(item, depth+1)
		}
		for _, m := range v.members {
			walk(m.value, depth+1)
		}
	}
	walk(root, 0)
	return all
}

// digest is Definition.Digest.
func digest(root *value) (sum [sha256.Size]byte) {
	h := sha256.New()
	for _, m := range root.members {
		if m.name != "enabled" && m.name != "$schema" {
			_, _ = fmt.Fprintf(h, "%q:", m.name) // a hash takes everything
			m.value.canonical(h)
		}
	}
	h.Sum(sum[:0])
	return sum
}

// canonical writes the value without spacing and with one spelling for each string.
func (v *value) canonical(w io.Writer) {
	switch v.kind {
	case listKind:
		_, _ = io.WriteString(w, "[")
		for _, item := range v.items {
			item.canonical(w)
			_, _ = io.WriteString(w, ",")
		}
		_, _ = io.WriteString(w, "]")
	case objectKind:
		_, _ = io.WriteString(w, "{")
		for _, m := range v.members {
			_, _ = fmt.Fprintf(w, "%q:", m.name)
			m.value.canonical(w)
			_, _ = io.WriteString(w, ",")
		}
		_, _ = io.WriteString(w, "}")
	case textKind:
		_, _ = fmt.Fprintf(w, "%q", v.text)
	case numberKind:
		_, _ = io.WriteString(w, v.text)
	default:
		_, _ = fmt.Fprintf(w, "%s%t", v.kind, v.truth)
	}
}

// isLiteral reports whether a credential reference is an id, not a template.
func isLiteral(reference string) bool {
	return reference != "" && !bytes.Contains([]byte(reference), []byte("{{"))
}
