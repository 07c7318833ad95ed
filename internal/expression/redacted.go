package expression

import (
	"errors"

	"keyflow/internal/jsonvalue"
)

// textual are the functions that may read a usable redacted text: what they make of it is a
// text, which is redacted again. Everything else would show something of it.
var textual = map[string]bool{
	"add": true, "string": true, "trim": true, "trimPrefix": true, "trimSuffix": true, "upper": true, "lower": true,
	"split": true, "splitAfter": true, "replace": true, "base64": true, "toBase64": true, "unbase64": true,
	"fromBase64": true, "hex": true, "urlencode": true,
}

// redactedError says what held the value that an expression tries to use, and what to do.
func redactedError(r *jsonvalue.Redacted) error {
	return errors.New("a redacted value (***) cannot be used here: " + jsonvalue.SourceOf(r))
}

func redactedIn(args []any) *jsonvalue.Redacted {
	for _, arg := range args {
		if r, ok := arg.(*jsonvalue.Redacted); ok {
			return r
		}
	}
	return nil
}

// onRedacted calls a function of which at least one argument is redacted.
func (f function) onRedacted(m *machine, args []any, r *jsonvalue.Redacted) (any, error) {
	if !textual[f.name] {
		return nil, redactedError(r)
	}
	plain := []any{m}
	for _, arg := range args {
		if hidden, ok := arg.(*jsonvalue.Redacted); ok {
			text, usable := jsonvalue.TextOf(hidden)
			if !usable {
				return nil, redactedError(hidden)
			}
			arg = text
		}
		plain = append(plain, arg)
	}
	out, err := f.run(plain...)
	if err != nil {
		return nil, err
	}
	return jsonvalue.ReplaceTexts(out, func(text any) any {
		return jsonvalue.Keep(jsonvalue.SourceOf(r), text.(string))
	}), nil
}
