package values

import (
	"bytes"
	"encoding/json"
	"slices"

	"keyflow/internal/jsonvalue"
)

// Marks say which texts of an output are redacted values: in the stored JSON they are the mask,
// as a literal *** is. They are stored beside the output, sealed when they carry texts.
type Marks struct {
	At    []int     `json:"at"`              // ordinals of the texts, in the order of the JSON
	Texts []*string `json:"texts,omitempty"` // of usable values; null for others
}

// PlainMarks begins marks that carry no text. Nothing that is sealed begins with it.
const PlainMarks = '{'

// OutputSource is what an expression error says of a redacted value in the output of a node.
func OutputSource(node string) string {
	return "it is in the output of node \"" + node + "\", where a secret is masked; only cookies of a node that has no credential, or is \"sensitive\", can be sent"
}

// SensitiveSource is what an expression error says of a value of a sensitive node.
func SensitiveSource(node string) string {
	return "it is in the output of node \"" + node + "\", which is sensitive: only with.fields of a credential node can use it, and requests its cookies"
}

// CookieMarks stands between a sealed sensitive output and the ordinals of the cookies in it.
// Compact JSON has no line end.
var CookieMarks = []byte("\n")

// CookiesIn returns the output of a sensitive node as it is sealed, and where its redacted
// texts are, which a later request may use.
func CookiesIn(v any) (any, []int) {
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

// SensitiveOutput is what later nodes see of a sensitive output: its cookies, and redacted
// values for everything else.
func SensitiveOutput(node string, content []byte) (any, error) {
	raw, marks, some := bytes.Cut(content, CookieMarks)
	if !some {
		return jsonvalue.Hide(SensitiveSource(node)), nil
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
			return jsonvalue.Keep(SensitiveSource(node), text.(string))
		}
		return text
	})
	return conceal(v, jsonvalue.Hide(SensitiveSource(node))), nil
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
		answer["headers"], answer["body"] = jsonvalue.Hide(SensitiveSource(node)), jsonvalue.Hide(SensitiveSource(node))
		return answer
	}
	if headers, ok := answer["headers"].(map[string]any); ok {
		for _, name := range []string{"set-cookie", "set-cookie2"} {
			if headers[name] == jsonvalue.Mask {
				headers[name] = jsonvalue.Hide(OutputSource(node))
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

// HasHidden reports whether a redacted value in v has no text.
func HasHidden(v any) bool { return FirstHidden(v) != nil }

// FirstHidden returns a redacted value that has no text.
func FirstHidden(v any) (hidden *jsonvalue.Redacted) {
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
