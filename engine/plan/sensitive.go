package plan

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"keyflow/internal/expression"
	"keyflow/internal/jsonvalue"
	"keyflow/workflows"
)

// Codes of what a definition says about secrets.
const (
	codeSensitive     = "sensitive"
	codeLiteralSecret = "literal_secret"
)

// noteSensitive notes that an expression in v, which stands at path, reads a node, if that is
// a sensitive one: either it sees the output as it is, or there is a warning.
func (p site) noteSensitive(path string, v any, id string) {
	n, ok := p.plan.Index[workflows.NodeID(id)]
	switch {
	case !ok || !p.plan.Nodes[n].Sensitive:
	case p.sealed:
		if !slices.Contains(p.reads.Sealed, n) {
			p.reads.Sealed = append(p.reads.Sealed, n)
		}
	case readsOutput(v, id):
		p.warnings = append(p.warnings, p.definition.Problemf(path+pointerOf(v, id), codeSensitive,
			"node %q is sensitive: its output is %q here; only with.fields of a credential node sees it", id, jsonvalue.Mask))
	}
}

// readsOutput reports whether a text in v mentions more of a node than status and error.
func readsOutput(v any, id string) bool {
	switch v := v.(type) {
	case string:
		rest := regexp.MustCompile(regexp.QuoteMeta(id)+`\??\.(status|error)\b`).ReplaceAllString(v, "")
		return strings.Contains(rest, id)
	case map[string]any:
		return slices.ContainsFunc(slices.Collect(maps.Values(v)), func(x any) bool { return readsOutput(x, id) })
	case []any:
		return slices.ContainsFunc(v, func(x any) bool { return readsOutput(x, id) })
	default:
		return false
	}
}

// sealedMembers are the members of v whose every text reads a sensitive node; everyMember
// when v is such a text itself.
func sealedMembers(d *workflows.Definition, v any) []string {
	members, ok := v.(map[string]any)
	if !ok {
		members = map[string]any{EveryMember: v}
	}
	var names []string
	for name, member := range members {
		if isSealed(d, member) {
			names = append(names, name)
		}
	}
	return names
}

// isSealed reports whether every text in v reads the output of a sensitive node.
func isSealed(d *workflows.Definition, v any) bool {
	switch v := v.(type) {
	case string:
		compiled, errs := expression.CompileValue(v, expression.Scope{Names: slices.Concat(runNames(), itemNames())})
		return len(errs) == 0 && slices.ContainsFunc(compiled.Nodes(), func(id string) bool {
			n := d.Nodes[workflows.NodeID(id)]
			return n != nil && n.Sensitive && readsOutput(v, id)
		})
	case map[string]any:
		for _, member := range v {
			if !isSealed(d, member) {
				return false
			}
		}
		return len(v) > 0
	default:
		return false
	}
}

// EveryMember says of a Sealed parameter that it comes as a whole from sensitive nodes.
const EveryMember = "*"
