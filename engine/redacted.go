package engine

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"keyflow/credentials/redact"
	"keyflow/engine/plan"
	"keyflow/internal/jsonvalue"
	"keyflow/nodes"
)

// marks say which texts of an output are redacted values: in the stored JSON they are the mask,
// as a literal *** is. They are stored beside the output, sealed when they carry texts.
type marks struct {
	At    []int     `json:"at"`              // ordinals of the texts, in the order of the JSON
	Texts []*string `json:"texts,omitempty"` // of usable values; null for others
}

// plainMarks begins marks that carry no text. Nothing that is sealed begins with it.
const plainMarks = '{'

// outputSource is what an expression error says of a redacted value in the output of a node.
func outputSource(node string) string {
	return "it is in the output of node \"" + node + "\", where a secret is masked; only cookies of a node that has no credential, or is \"sensitive\", can be sent"
}

func sensitiveSource(node string) string {
	return "it is in the output of node \"" + node + "\", which is sensitive: only with.fields of a credential node can use it, and requests its cookies"
}

// redactOutput puts an output with redacted values into out: masked for people, with marks for
// later nodes. The texts are kept when no credential had a part in the answer.
func (s *stepRun) redactOutput(v any, out *outcome) *nodes.Error {
	id, sealer := string(s.plan.ID), s.runner.engine.o.Sealer
	keep := s.credential == "" && sealer != nil
	var found marks
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
			return jsonvalue.Keep(outputSource(id), text)
		}
		found.Texts = append(found.Texts, nil)
		return jsonvalue.Hide(outputSource(id))
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

// marked decodes the output of a step with its redacted values.
func (r *runner) marked(node string, index int, output json.RawMessage, sealed []byte) (any, error) {
	v, err := jsonvalue.Decode(output)
	if err != nil || len(sealed) == 0 {
		return v, err
	}
	if sealed[0] != plainMarks {
		if r.engine.o.Sealer == nil {
			return nil, errors.New("this process cannot open sealed outputs")
		}
		if sealed, err = r.engine.o.Sealer.OpenOutput(r.run.ID.String(), node, index, sealed); err != nil {
			return nil, err
		}
	}
	var found marks
	if err := json.Unmarshal(sealed, &found); err != nil {
		return nil, err
	}
	ordinal, next := -1, 0
	return jsonvalue.ReplaceTexts(v, func(text any) any {
		ordinal++
		if next == len(found.At) || found.At[next] != ordinal {
			return text
		}
		next++
		if next <= len(found.Texts) && found.Texts[next-1] != nil {
			return jsonvalue.Keep(outputSource(node), *found.Texts[next-1])
		}
		return jsonvalue.Hide(outputSource(node))
	}), nil
}

// plainOutput decodes an output as later nodes see it.
func (r *runner) plainOutput(plan *plan.Node, index int, output json.RawMessage, sealed []byte) (any, error) {
	id := string(plan.ID)
	if !plan.Sensitive || sealed == nil { // an element that failed has nothing sealed
		return r.marked(id, index, output, sealed)
	}
	if r.engine.o.Sealer == nil {
		return jsonvalue.Hide(sensitiveSource(id)), nil
	}
	content, err := r.engine.o.Sealer.OpenOutput(r.run.ID.String(), id, index, sealed)
	if err != nil {
		return nil, err
	}
	return sensitiveOutput(id, content)
}

// cookieMarks stands between a sealed sensitive output and the ordinals of the cookies in it.
// Compact JSON has no line end.
var cookieMarks = []byte("\n")

// cookiesIn returns the output of a sensitive node as it is sealed, and where its redacted
// texts are, which a later request may use.
func cookiesIn(v any) (any, []int) {
	if jsonvalue.FindRedacted(v) == nil {
		return v, nil
	}
	var at []int
	ordinal := -1
	return jsonvalue.ReplaceTexts(v, func(text any) any {
		ordinal++
		r, ok := text.(*jsonvalue.Redacted)
		if !ok {
			return text
		}
		if text, usable := jsonvalue.TextOf(r); usable {
			at = append(at, ordinal)
			return text
		}
		return jsonvalue.Mask
	}), at
}

// sealedCookies returns what is sealed of a sensitive output, and what later nodes see of it.
func (s *stepRun) sealedCookies(raw []byte, cookies []int) (content []byte, shown any) {
	id := string(s.plan.ID)
	if len(cookies) == 0 {
		return raw, jsonvalue.Hide(sensitiveSource(id))
	}
	at, err := json.Marshal(cookies)
	if err == nil {
		content = slices.Concat(raw, cookieMarks, at)
		shown, err = sensitiveOutput(id, content)
	}
	if err != nil { // ordinals and plain data from an encoder
		return raw, jsonvalue.Hide(sensitiveSource(id))
	}
	return content, shown
}

// sensitiveOutput is what later nodes see of a sensitive output: its cookies, and redacted
// values for everything else.
func sensitiveOutput(node string, content []byte) (any, error) {
	raw, marks, some := bytes.Cut(content, cookieMarks)
	if !some {
		return jsonvalue.Hide(sensitiveSource(node)), nil
	}
	var at []int
	if err := json.Unmarshal(marks, &at); err != nil {
		return nil, err
	}
	v, err := jsonvalue.Decode(raw)
	if err != nil {
		return nil, err
	}
	ordinal := -1
	v = jsonvalue.ReplaceTexts(v, func(text any) any {
		if ordinal++; slices.Contains(at, ordinal) {
			return jsonvalue.Keep(sensitiveSource(node), text.(string))
		}
		return text
	})
	return conceal(v, jsonvalue.Hide(sensitiveSource(node))), nil
}

// conceal puts hidden in the place of all data without a redacted value.
func conceal(v any, hidden *jsonvalue.Redacted) any {
	if jsonvalue.FindRedacted(v) == nil {
		return hidden
	}
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = conceal(v[i], hidden)
		}
	case map[string]any:
		for k := range v {
			v[k] = conceal(v[k], hidden)
		}
	}
	return v
}

// markResponse marks what is always masked in the answer that an error keeps.
func markResponse(response any, node string, sensitive bool) any {
	answer, ok := response.(map[string]any)
	if !ok {
		return response
	}
	if sensitive {
		answer["headers"], answer["body"] = jsonvalue.Hide(sensitiveSource(node)), jsonvalue.Hide(sensitiveSource(node))
		return answer
	}
	if headers, ok := answer["headers"].(map[string]any); ok {
		for _, name := range []string{"set-cookie", "set-cookie2"} {
			if headers[name] == jsonvalue.Mask {
				headers[name] = jsonvalue.Hide(outputSource(node))
			}
		}
	}
	return answer
}

// markRequest marks the headers of a webhook's request that are always masked.
func markRequest(request any) any {
	if v, ok := request.(map[string]any); ok {
		headers, _ := v["headers"].(map[string]any)
		for _, name := range []string{"authorization", "proxy-authorization", "cookie"} {
			if headers[name] == jsonvalue.Mask {
				headers[name] = jsonvalue.Hide("it is the header \"" + name + "\" of the request that started the run, which runs never see")
			}
		}
	}
	return request
}

// use returns the value of a parameter as its node gets it. Redacted values are an error, unless
// the parameter keeps them in data or is what they are for; then their texts are masked in
// whatever comes back.
func (s *stepRun) use(decl *nodes.Param, v any) (any, *nodes.Error) {
	r := jsonvalue.FindRedacted(v)
	switch {
	case r == nil || decl.Redacted == nodes.RedactedKept:
		return v, nil
	case decl.Redacted == nodes.RedactedUsed && !hasHidden(v):
		return jsonvalue.Revealed(v, s.reveal), nil
	}
	if hidden := firstHidden(v); hidden != nil {
		r = hidden
	}
	return nil, &nodes.Error{
		Code: nodes.CodeExpression, Permanent: true,
		Message: "with." + decl.Name + ": a redacted value (" + jsonvalue.Mask + ") cannot be used here: " + jsonvalue.SourceOf(r),
	}
}

func hasHidden(v any) bool { return firstHidden(v) != nil }

// firstHidden returns a redacted value that has no text.
func firstHidden(v any) (hidden *jsonvalue.Redacted) {
	jsonvalue.ReplaceTexts(v, func(text any) any {
		if r, ok := text.(*jsonvalue.Redacted); ok && hidden == nil {
			if _, usable := jsonvalue.TextOf(r); !usable {
				hidden = r
			}
		}
		return text
	})
	return hidden
}

// reveal notes a text that is sent, and the values in it: of "session=abc; Path=/" also abc.
func (s *stepRun) reveal(text string) {
	s.revealed = append(s.revealed, text)
	for part := range strings.SplitSeq(text, ";") {
		if _, value, ok := strings.Cut(part, "="); ok {
			s.revealed = append(s.revealed, strings.TrimSpace(value))
		}
	}
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
		return jsonvalue.Hide(outputSource(string(s.plan.ID)))
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
