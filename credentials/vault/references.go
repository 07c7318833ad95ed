package vault

import (
	"context"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"

	"keyflow/credentials"
	"keyflow/credentials/authtype"
	"keyflow/credentials/internal/problem"
	"keyflow/credentials/sources"
	"keyflow/internal/identity"
	"keyflow/internal/secret"
)

// givenReference reads {"ref": "…"}; ok is false for every other value.
func givenReference(f *authtype.Field, value any) (ref string, ok bool) {
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

// checkReference takes a reference instead of a secret. A reference is no knowledge of the
// secret: whoever could set one could send another team's secret to a host of his own. Only
// administrators may.
func (e *edit) checkReference(f *authtype.Field, ref string) {
	path := problem.Pointer("fields", f.Name)
	if err := e.sources.Check(ref); err != nil {
		e.Add(path, problem.Reference, messageOf(err))
		return
	}
	e.refs[f.Name] = ref
}

// takeReference settles a field that the input or the stored record gives as a reference.
func (e *edit) takeReference(old *stored, o *opened, field string) {
	ref, given := e.refs[field]
	if !given {
		return
	}
	if old != nil && old.opened.Refs[field] == ref {
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
func (e *edit) checkReferenceWidening(old *stored, o *opened) {
	if len(o.Refs) == 0 || e.caller.May(identity.Administer, "/") {
		return
	}
	for _, path := range widenings(old.opened, o) {
		e.Add(path, problem.Forbidden, "this change could send the secret that "+listOf(slices.Sorted(maps.Keys(o.Refs)))+
			" refers to somewhere new: only an administrator may make it")
	}
}

// resolved is o with the secrets that its references lead to now; o itself when it has none.
// Errors are *Error.
func (rd *Reader) resolved(ctx context.Context, o *opened) (*opened, error) {
	if len(o.Refs) == 0 {
		return o, nil
	}
	r := *o
	r.Secret = maps.Clone(o.Secret)
	for _, field := range slices.Sorted(maps.Keys(o.Refs)) {
		text, err := rd.sources.Read(ctx, o.Refs[field])
		if err == nil {
			err = r.put(field, text)
		}
		if err != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			return nil, o.failed(credentials.CodeReference, err, "the field %s of credential %q cannot be used: %s", field, o.ID, messageOf(err))
		}
	}
	if o.typ.Check == nil {
		return &r, nil
	}
	for _, i := range o.typ.Check(&r.Values) {
		return nil, o.failed(credentials.CodeReference, nil, "what the references of credential %q lead to cannot be used: %s %s", o.ID, i.Field, i.Message)
	}
	return &r, nil
}

// put takes the secret that a reference led to, if the field can hold it.
func (o *opened) put(field string, text secret.Text) error {
	f := o.typ.Field(field)
	switch {
	case f.Pattern != "" && !regexp.MustCompile(`^(?:`+f.Pattern+`)$`).MatchString(text.Reveal()):
		return &sources.Error{Message: o.Refs[field] + " does not hold what the field takes: it must match " + f.Pattern}
	case f.Kind == authtype.KindMap:
		var m map[string]string
		if err := json.Unmarshal([]byte(text.Reveal()), &m); err != nil {
			return &sources.Error{Message: o.Refs[field] + " must hold a JSON object of texts"}
		}
	}
	o.Secret[field] = text
	return nil
}

// sameReferences reports whether the references of both lead to the same secrets.
func (o *opened) sameReferences(other *opened) bool {
	return len(o.Refs) == 0 && len(other.Refs) == 0 || maps.EqualFunc(o.Secret, other.Secret, secret.Text.Equal)
}
