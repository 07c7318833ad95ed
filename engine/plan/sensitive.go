package plan

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"keyflow/internal/expression"
	"keyflow/workflows"
)

// Codes of what a definition says about secrets.
const (
	codeSensitive     = "sensitive"
	codeLiteralSecret = "literal_secret"
)

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
