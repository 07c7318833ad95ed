package editing

import (
	"maps"
	"slices"
	"strings"

	"keyflow/credentials/authtype"
	"keyflow/credentials/internal/decrypted"
	"keyflow/credentials/internal/problem"
	"keyflow/credentials/internal/reach"
	"keyflow/credentials/sources"
	"keyflow/internal/identity"
)

// checkReference takes a reference instead of a secret. A reference is no knowledge of the
// secret: whoever could set one could send another team's secret to a host of his own. Only
// administrators may.
func (e *Edit) checkReference(f *authtype.Field, ref string) {
	path := problem.Pointer("fields", f.Name)
	if err := e.sources.Check(ref); err != nil {
		e.Add(path, problem.Reference, problem.Message(err))
		return
	}
	e.refs[f.Name] = ref
}

// takeReference sets a field that the input or the stored record gives as a reference.
func (e *Edit) takeReference(old *decrypted.Current, o *decrypted.Credential, field string) {
	ref, given := e.refs[field]
	if !given {
		return
	}
	if old != nil && old.Decrypted.Refs[field] == ref {
		o.SetReference(field, ref)
		return
	}
	if !e.caller.May(identity.Administer, "/") {
		e.Add(problem.Pointer("fields", field), problem.Forbidden, "only an administrator may set or change a reference: it says which of the server's secrets is used; enter the value, or ask one")
		return
	}
	o.SetReference(field, ref)
}

// checkReferenceWidening refuses changes that could send what references lead to somewhere
// new, unless an administrator makes them.
func (e *Edit) checkReferenceWidening(old *decrypted.Current, o *decrypted.Credential) {
	if len(o.Refs) == 0 || e.caller.May(identity.Administer, "/") {
		return
	}
	for _, path := range Widenings(old.Decrypted, o) {
		e.Add(path, problem.Forbidden, "this change could send the secret that "+reach.List(slices.Sorted(maps.Keys(o.Refs)))+
			" refers to somewhere new: only an administrator may make it")
	}
}

// GivenReference reads {"ref": "…"}; ok is false for every other value.
func GivenReference(f *authtype.Field, value any) (ref string, ok bool) {
	m, isMap := value.(map[string]any)
	if !isMap || len(m) != 1 {
		return "", false
	}
	ref, ok = m["ref"].(string)
	if f.Kind == authtype.KindMap { // a map may have an entry of that name
		kind, _, _ := strings.Cut(ref, ":")
		return ref, ok && (kind == sources.Environment || kind == sources.File || kind == sources.Vault)
	}
	return ref, ok
}
