package standard

import (
	"encoding/base64"
	"errors"
	"fmt"
	"mime"
	"strings"
	"unicode/utf8"

	"keyflow/internal/charset"
	"keyflow/internal/jsonvalue"
	"keyflow/nodes"
)

// Values of response.
const (
	answerAuto   = "auto"
	answerJSON   = "json"
	answerText   = "text"
	answerBase64 = "base64"
)

func responseParam() nodes.Param {
	kinds := []string{answerAuto, answerJSON, answerText, answerBase64}
	return nodes.Param{
		Name: "response", Kind: nodes.String, Enum: kinds, Default: answerAuto,
		Help: "How to read the answer's body, as text or as {type, charset}; auto goes by its content type.",
		Fields: []nodes.Param{
			{Name: "type", Kind: nodes.String, Enum: kinds, Default: answerAuto, Help: "How to read the body."},
			{Name: "charset", Kind: nodes.String, Check: checkCharset, Help: `Encoding of the body, for example "euc-kr". Without it: the byte order mark, the charset of the content type, the XML declaration, UTF-8.`},
		},
	}
}

func checkCharset(name string) string {
	if charset.Known(name) {
		return ""
	}
	return `is not a known charset; use a name such as "euc-kr" or "windows-1252"`
}

// format is how the author wants a body to be read.
type format struct {
	kind    string
	charset string // "" is what the answer declares
}

func formatOf(with map[string]any) format {
	return format{
		kind:    textOr(with, "response", textOr(with, "response.type", answerAuto)),
		charset: textOr(with, "response.charset", ""),
	}
}

// decode turns a body into data. auto goes by the content type: JSON becomes data, text text,
// anything else base64. An empty body is null, except as text.
func (f format) decode(data []byte, contentType string) (any, error) {
	kind := f.kind
	if kind == answerAuto {
		kind = f.kindOf(data, contentType)
	}
	if kind == answerBase64 {
		if len(data) == 0 {
			return nil, nil
		}
		return base64.StdEncoding.EncodeToString(data), nil
	}
	text, err := charset.Decode(data, charset.Declared{Name: f.charset, ContentType: contentType})
	switch {
	case err != nil:
		return nil, err
	case len(text) == 0 && (kind == answerJSON || f.kind == answerAuto):
		return nil, nil
	case kind == answerJSON:
		return jsonvalue.Decode(text)
	default:
		return string(text), nil
	}
}

// kindOf is what auto stands for.
func (f format) kindOf(data []byte, contentType string) string {
	media, _, _ := mime.ParseMediaType(contentType) // "" for what is no media type
	switch {
	case isJSON(media):
		return answerJSON
	case isText(media), media == "" && (f.charset != "" || utf8.Valid(data)):
		return answerText
	default:
		return answerBase64
	}
}

// undecoded is the failure of a body that cannot be decoded. It shows nothing of it.
func (a *answer) undecoded(err error) *nodes.Error {
	if wrong, ok := errors.AsType[*charset.Error](err); ok {
		return a.failed(nodes.CodeNetwork, fmt.Sprintf(`%s answered with a body that %s; name its encoding in "response": {"charset": …}, `+
			`or read it as base64`, a.host, wrong.Message), err)
	}
	if errors.Is(err, jsonvalue.ErrTooDeep) || errors.Is(err, jsonvalue.ErrTooMany) {
		return a.failed(nodes.CodeTooLarge, fmt.Sprintf("%s answered with JSON that cannot be read: %v; "+
			`to take it as it is, set "response": "text"`, a.host, err), err)
	}
	return a.failed(nodes.CodeNetwork, fmt.Sprintf("%s answered with a body that is not JSON: %v; "+
		`to take it as it is, set "response": "text"`, a.host, err), err)
}

// rawBody is what error.response shows of a body that cannot be decoded.
func rawBody(data []byte, contentType string) any {
	if media, _, _ := mime.ParseMediaType(contentType); isJSON(media) || isText(media) || utf8.Valid(data) {
		return strings.ToValidUTF8(string(data), "\uFFFD")
	}
	return base64.StdEncoding.EncodeToString(data)
}

func isJSON(media string) bool {
	return media == "application/json" || media == "text/json" || strings.HasSuffix(media, "+json")
}

func isText(media string) bool {
	switch media {
	case "application/xml", "application/javascript", "application/x-ndjson", "application/yaml",
		"application/x-www-form-urlencoded", "application/graphql":
		return true
	}
	return strings.HasPrefix(media, "text/") || strings.HasSuffix(media, "+xml") || strings.HasSuffix(media, "+yaml")
}
