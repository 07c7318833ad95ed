package webhook

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/url"
	"strings"
	"unicode/utf8"

	"keyflow/internal/charset"
	"keyflow/internal/jsonvalue"
)

// maxParts bounds the parts of a multipart body.
const maxParts = 1000

// inbound is the body of a request, parsed by its content type.
type inbound struct {
	parsed  any
	text    string // the body as text, in which bytes that are no text are replaced
	warning string // why parsed is null although there is a body, or what is doubtful; "" is nothing
}

// bodyError says why a body is refused. It follows "the body " and shows nothing of it.
type bodyError struct{ message string }

// Error implements error.
func (e *bodyError) Error() string { return "the body " + e.message }

// readInbound parses a body. hide takes out what no one may see; it is applied to decoded text. The
// error is a *bodyError.
func readInbound(contentType string, data []byte, hide func(string) string) (inbound, error) {
	media, params, _ := mime.ParseMediaType(contentType) // "" for what is no media type
	if len(data) == 0 {
		return inbound{}, nil
	}
	if media == "multipart/form-data" {
		return readMultipart(params["boundary"], string(data), hide)
	}
	isJSON := media == "application/json" || strings.HasSuffix(media, "+json")
	if isJSON && params["charset"] == "" && startsInUTF16(data) { // RFC 8259 section 8.1
		return inbound{}, &bodyError{"is JSON in UTF-16: name the charset in its Content-Type, or send UTF-8"}
	}
	text, err := charset.Decode(data, charset.Declared{ContentType: contentType})
	b := inbound{text: hide(string(text))}
	if err != nil {
		b.text = hide(strings.ToValidUTF8(string(data), "\uFFFD"))
		if isParsed(media) && !utf8.Valid(data) {
			return b, &bodyError{err.Error()}
		}
		b.warning = "the body " + err.Error()
	}
	switch {
	case isJSON:
		if b.parsed, err = jsonvalue.Decode([]byte(b.text)); err != nil {
			return b, &bodyError{"is not valid JSON"}
		}
	case media == "application/x-www-form-urlencoded":
		if b.parsed, err = parseForm(string(data), params["charset"], hide); err != nil {
			return b, &bodyError{err.Error()}
		}
	case media == "":
		if b.parsed, err = jsonvalue.Decode([]byte(b.text)); err != nil {
			b.parsed = b.text
		}
	case strings.HasPrefix(media, "text/"):
		b.parsed = b.text
	default:
		b.warning = fmt.Sprintf("a body of the type %.100s is not parsed, so trigger.request.body is null; "+
			"raw_body has it as text, in which bytes that are not UTF-8 are replaced", media)
	}
	return b, nil
}

// startsInUTF16 reports whether a body begins with a mark of UTF-16.
func startsInUTF16(data []byte) bool {
	e, err := charset.Detect(data, charset.Declared{})
	return err == nil && !e.IsUTF8()
}

// isParsed reports whether bodies of a media type are parsed as text of some kind.
func isParsed(media string) bool {
	return media == "application/json" || media == "application/x-www-form-urlencoded" ||
		strings.HasSuffix(media, "+json") || strings.HasPrefix(media, "text/")
}

// readMultipart parses multipart/form-data (RFC 7578): fields as text, files as {filename,
// content_type, size, base64}, a repeated name as a list. A body that is none is not parsed.
func readMultipart(boundary, text string, hide func(string) string) (inbound, error) {
	b := inbound{text: strings.ToValidUTF8(hide(text), "\uFFFD")}
	notParsed := func(why string) (inbound, error) {
		b.parsed = nil
		b.warning = "the body is not parsed, so trigger.request.body is null: it " + why
		return b, nil
	}
	if boundary == "" {
		return notParsed("is multipart/form-data, but its Content-Type names no boundary")
	}
	fields := map[string]any{}
	parts := multipart.NewReader(strings.NewReader(text), boundary)
	for n := 0; ; n++ {
		part, err := parts.NextPart()
		switch {
		case err == io.EOF: //nolint:errorlint // a body that is cut is io.EOF too, but wrapped
			b.parsed = fields
			return b, nil
		case err != nil:
			return notParsed("is not valid multipart/form-data")
		case n == maxParts:
			return notParsed(fmt.Sprintf("has more than %d parts", maxParts))
		case part.FormName() == "":
			return notParsed("has a part without a name")
		}
		value, err := readPart(part, hide)
		if err != nil {
			return b, &bodyError{fmt.Sprintf("has a part %.80q that %v", hide(part.FormName()), err)}
		}
		addField(fields, hide(part.FormName()), value)
	}
}

// readPart reads a field or a file: what has a file name, or a type that is not text.
func readPart(part *multipart.Part, hide func(string) string) (any, error) {
	data, err := io.ReadAll(part)
	if err != nil {
		return nil, errors.New("is cut off")
	}
	contentType := part.Header.Get("Content-Type")
	media, _, _ := mime.ParseMediaType(contentType)
	if name := part.FileName(); name != "" || media != "" && !isParsed(media) {
		return map[string]any{
			"filename": strings.ToValidUTF8(hide(name), "\uFFFD"), "content_type": strings.ToValidUTF8(hide(contentType), "\uFFFD"),
			"size": len(data), "base64": base64.StdEncoding.EncodeToString([]byte(hide(string(data)))),
		}, nil
	}
	text, err := charset.Decode(data, charset.Declared{ContentType: contentType})
	return hide(string(text)), err
}

// parseForm reads a form as it was sent; repeated fields are joined with commas, as repeated headers
// are. A charset is that of its bytes, percent-encoded or not.
func parseForm(text, name string, hide func(string) string) (map[string]any, error) {
	values, _ := url.ParseQuery(strings.TrimPrefix(text, "\ufeff")) // the fields that are valid
	if _, err := charset.Detect(nil, charset.Declared{Name: name}); err != nil {
		name = "" // the warning names it
	}
	out := make(map[string]any, len(values))
	for field, list := range values {
		key, err := charset.Decode([]byte(field), charset.Declared{Name: name})
		if err != nil {
			return nil, err
		}
		value, err := charset.Decode([]byte(strings.Join(list, ", ")), charset.Declared{Name: name})
		if err != nil {
			return nil, err
		}
		out[hide(string(key))] = hide(string(value))
	}
	return out, nil
}

// addField makes a list of a name that is given more than once.
func addField(fields map[string]any, name string, value any) {
	switch before := fields[name].(type) {
	case nil:
		fields[name] = value
	case []any:
		fields[name] = append(before, value)
	default:
		fields[name] = []any{before, value}
	}
}
