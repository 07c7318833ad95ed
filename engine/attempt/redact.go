package attempt

import (
	"encoding/json"
	"slices"

	"keyflow/engine/values"
	"keyflow/internal/jsonvalue"
	"keyflow/nodes"
)

// redactOutput puts an output with redacted values into out: masked for people, with marks for
// later nodes. The texts are kept when no credential had a part in the answer.
func (s *Attempt) redactOutput(v any, out *Outcome) *nodes.Error {
	id, sealer := string(s.Node.ID), s.process.Sealer
	keep := s.credential == "" && sealer != nil
	var found values.Marks
	ordinal, usable := -1, false
	out.Value = jsonvalue.ReplaceTexts(v, func(text any) any {
		ordinal++
		r, ok := text.(*jsonvalue.Redacted)
		if !ok {
			return text
		}
		found.At = append(found.At, ordinal)
		if text, ok := jsonvalue.TextOf(r); ok && keep {
			usable = true
			found.Texts = append(found.Texts, &text)
			return jsonvalue.Keep(values.OutputSource(id), text)
		}
		found.Texts = append(found.Texts, nil)
		return jsonvalue.Hide(values.OutputSource(id))
	})
	if !usable {
		found.Texts = nil
	}
	raw, err := jsonvalue.Encode(jsonvalue.Shown(v))
	if err == nil {
		out.Output = raw
		out.Sealed, err = json.Marshal(found)
	}
	if err == nil && usable {
		out.Sealed, err = sealer.SealOutput(s.Run.ID.String(), id, s.Key.Index, out.Sealed)
	}
	if err != nil {
		return &nodes.Error{Code: nodes.CodeInternal, Message: "the redacted values of the output could not be stored", Err: err}
	}
	return s.process.CheckSize(raw)
}

// sealedCookies returns what is sealed of a sensitive output, and what later nodes see of it.
func (s *Attempt) sealedCookies(raw []byte, cookies []int) (content []byte, shown any) {
	id := string(s.Node.ID)
	if len(cookies) == 0 {
		return raw, jsonvalue.Hide(values.SensitiveSource(id))
	}
	at, err := json.Marshal(cookies)
	if err == nil {
		content = slices.Concat(raw, values.CookieMarks, at)
		shown, err = values.SensitiveOutput(id, content)
	}
	if err != nil { // ordinals and plain data from an encoder
		return raw, jsonvalue.Hide(values.SensitiveSource(id))
	}
	return content, shown
}

// use returns the value of a parameter as its node gets it. Redacted values are an error, unless
// the parameter keeps them in data or is what they are for; then their texts are masked in
// whatever comes back.
func (s *Attempt) use(decl *nodes.Param, v any) (any, *nodes.Error) {
	r := jsonvalue.FindRedacted(v)
	switch {
	case r == nil || decl.Redacted == nodes.RedactedKept:
		return v, nil
	case decl.Redacted == nodes.RedactedUsed && !values.HasHidden(v):
		return jsonvalue.Revealed(v, s.sent.reveal), nil
	}
	if hidden := values.FirstHidden(v); hidden != nil {
		r = hidden
	}
	return nil, &nodes.Error{
		Code: nodes.CodeExpression, Permanent: true,
		Message: "with." + decl.Name + ": a redacted value (" + jsonvalue.Mask + ") cannot be used here: " + jsonvalue.SourceOf(r),
	}
}
