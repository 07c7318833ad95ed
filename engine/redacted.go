package engine

import (
	"encoding/json"
	"slices"
	"strings"

	"keyflow/credentials/redact"
	"keyflow/engine/values"
	"keyflow/internal/jsonvalue"
	"keyflow/nodes"
)

// redactOutput puts an output with redacted values into out: masked for people, with marks for
// later nodes. The texts are kept when no credential had a part in the answer.
func (s *stepRun) redactOutput(v any, out *outcome) *nodes.Error {
	id, sealer := string(s.plan.ID), s.runner.engine.o.Sealer
	keep := s.credential == "" && sealer != nil
	var found values.Marks
	ordinal, usable := -1, false
	out.value = jsonvalue.ReplaceTexts(v, func(text any) any {
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
		out.output = raw
		out.sealed, err = json.Marshal(found)
	}
	if err == nil && usable {
		out.sealed, err = sealer.SealOutput(s.runner.run.ID.String(), id, s.key.index, out.sealed)
	}
	if err != nil {
		return &nodes.Error{Code: nodes.CodeInternal, Message: "the redacted values of the output could not be stored", Err: err}
	}
	return s.runner.engine.checkSize(raw)
}

// sealedCookies returns what is sealed of a sensitive output, and what later nodes see of it.
func (s *stepRun) sealedCookies(raw []byte, cookies []int) (content []byte, shown any) {
	id := string(s.plan.ID)
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
func (s *stepRun) use(decl *nodes.Param, v any) (any, *nodes.Error) {
	r := jsonvalue.FindRedacted(v)
	switch {
	case r == nil || decl.Redacted == nodes.RedactedKept:
		return v, nil
	case decl.Redacted == nodes.RedactedUsed && !values.HasHidden(v):
		return jsonvalue.Revealed(v, s.reveal), nil
	}
	if hidden := values.FirstHidden(v); hidden != nil {
		r = hidden
	}
	return nil, &nodes.Error{
		Code: nodes.CodeExpression, Permanent: true,
		Message: "with." + decl.Name + ": a redacted value (" + jsonvalue.Mask + ") cannot be used here: " + jsonvalue.SourceOf(r),
	}
}

// cookieAttributes are what Set-Cookie says of a cookie (RFC 6265 section 5.2): no secrets.
var cookieAttributes = map[string]bool{
	"": true, "domain": true, "path": true, "expires": true, "max-age": true, "samesite": true,
	"secure": true, "httponly": true, "partitioned": true, "priority": true,
}

// reveal notes a text that is sent, and the values of cookies in it: of "a=1; Path=/, b=2" also 1
// and 2. A comma separates cookies, as in joined headers, or is part of a value.
func (s *stepRun) reveal(text string) {
	s.revealed = append(s.revealed, text)
	for part := range strings.SplitSeq(text, ";") {
		s.revealCookie(part)
		for cookie := range strings.SplitSeq(part, ",") {
			s.revealCookie(cookie)
		}
	}
}

func (s *stepRun) revealCookie(text string) {
	name, value, ok := strings.Cut(strings.TrimSpace(text), "=")
	if cookieAttributes[strings.ToLower(name)] {
		return
	}
	if !ok {
		value = name
	}
	s.revealed = append(s.revealed, value, strings.Trim(value, `"`))
}

// maskOutput hides the texts that the step has sent in what came back.
func (s *stepRun) maskOutput(v any) any {
	if len(s.revealed) == 0 {
		return v
	}
	mask := s.mask()
	return jsonvalue.ReplaceTexts(v, func(text any) any {
		plain, ok := text.(string)
		if !ok || mask.String(plain) == plain {
			return text
		}
		return jsonvalue.Hide(values.OutputSource(string(s.plan.ID)))
	})
}

func (s *stepRun) mask() *redact.Redactor { return redact.New(redact.Secrets{Values: s.revealed}) }

func (s *stepRun) maskText(text string) string {
	if len(s.revealed) == 0 {
		return text
	}
	return s.mask().String(text)
}

// maskError hides them in an error.
func (s *stepRun) maskError(err *nodes.Error) *nodes.Error {
	if len(s.revealed) == 0 || err == nil {
		return err
	}
	shown := *err
	shown.Err = nil
	shown.Message = s.maskText(err.Message)
	if err.Response != nil {
		shown.Response = s.maskOutput(err.Response)
	}
	return &shown
}
