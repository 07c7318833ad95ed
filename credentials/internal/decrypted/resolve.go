package decrypted

import (
	"context"
	"encoding/json"
	"maps"
	"regexp"
	"slices"

	"keyflow/credentials"
	"keyflow/credentials/authtype"
	"keyflow/credentials/internal/problem"
	"keyflow/credentials/sources"
	"keyflow/internal/secret"
)

// Resolved is o with the secrets that its references lead to now; o itself when it has none.
// Errors are *Error.
func (rd *Reader) Resolved(ctx context.Context, o *Credential) (*Credential, error) {
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
			return nil, o.Failed(credentials.CodeReference, err, "the field %s of credential %q cannot be used: %s", field, o.ID, problem.Message(err))
		}
	}
	if o.AuthType.Check == nil {
		return &r, nil
	}
	for _, i := range o.AuthType.Check(&r.Values) {
		return nil, o.Failed(credentials.CodeReference, nil, "what the references of credential %q lead to cannot be used: %s %s", o.ID, i.Field, i.Message)
	}
	return &r, nil
}

// put takes the secret that a reference led to, if the field can hold it.
func (o *Credential) put(field string, text secret.Text) error {
	f := o.AuthType.Field(field)
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

// SameReferences reports whether the references of both lead to the same secrets.
func (o *Credential) SameReferences(other *Credential) bool {
	return len(o.Refs) == 0 && len(other.Refs) == 0 || maps.EqualFunc(o.Secret, other.Secret, secret.Text.Equal)
}
