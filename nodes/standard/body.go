package standard

import (
	"bytes"
	"encoding/base64"
	"maps"
	"mime"
	"mime/multipart"
	"net/textproto"
	"slices"
	"strings"

	"keyflow/internal/jsonvalue"
)

// Values of body_type.
const (
	bodyJSON      = "json"
	bodyForm      = "form"
	bodyMultipart = "multipart"
	bodyText      = "text"
	bodyBase64    = "base64"
)

// encodeBody returns the bytes and the content type of a request body; nil bytes are no
// body. Without a kind, text is sent as text and everything else as JSON.
func encodeBody(kind string, body any) (data []byte, contentType string, err error) {
	text, isText := body.(string)
	switch {
	case kind != "":
	case body == nil:
		return nil, "", nil
	case isText:
		kind = bodyText
	default:
		kind = bodyJSON
	}
	switch kind {
	case bodyForm:
		return encodeForm(body)
	case bodyMultipart:
		return encodeMultipart(body)
	case bodyText:
		if !isText {
			return nil, "", invalid("body", "must be text for body_type text")
		}
		return []byte(text), "text/plain; charset=utf-8", nil
	case bodyBase64:
		data, err := base64.StdEncoding.DecodeString(text)
		if !isText || err != nil {
			return nil, "", invalid("body", "must be base64 for body_type base64")
		}
		return data, "application/octet-stream", nil
	default:
		data, err := jsonvalue.Encode(body)
		if err != nil {
			return nil, "", invalid("body", "cannot be written as JSON")
		}
		return data, "application/json", nil
	}
}

func encodeForm(body any) ([]byte, string, error) {
	fields, ok := body.(map[string]any)
	if !ok {
		return nil, "", invalid("body", "must be an object for body_type form")
	}
	values, err := formValues("body", fields)
	if err != nil {
		return nil, "", err
	}
	return []byte(values.Encode()), "application/x-www-form-urlencoded", nil
}

// encodeMultipart writes multipart/form-data (RFC 7578). A field is a scalar, a file
// {"filename", "content_type", and "content" (text) or "base64"}, or a list of those.
func encodeMultipart(body any) ([]byte, string, error) {
	fields, ok := body.(map[string]any)
	if !ok {
		return nil, "", invalid("body", "must be an object for body_type multipart")
	}
	var buf bytes.Buffer
	w := multipart.NewWriter(&buf)
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		list, isList := fields[name].([]any)
		if !isList {
			list = []any{fields[name]}
		}
		for _, v := range list {
			if err := writeField(w, name, v); err != nil {
				return nil, "", err
			}
		}
	}
	if err := w.Close(); err != nil {
		return nil, "", err
	}
	return buf.Bytes(), w.FormDataContentType(), nil
}

func writeField(w *multipart.Writer, name string, v any) error {
	if v == nil {
		return nil
	}
	if file, ok := v.(map[string]any); ok {
		return writeFile(w, name, file)
	}
	text, ok := scalarText(v)
	if !ok {
		return invalid("body", "the part %.80q must be text, a number, a boolean or a file", name)
	}
	return w.WriteField(name, text)
}

func writeFile(w *multipart.Writer, name string, file map[string]any) error {
	filename, content := textOr(file, "filename", "file"), []byte(textOr(file, "content", ""))
	contentType := textOr(file, "content_type", "application/octet-stream")
	encoded, isEncoded := file["base64"].(string)
	for key := range file {
		switch key {
		case "filename", "content_type", "content", "base64":
		default:
			return invalid("body", "the file %.80q has no field %.80q; it has filename, content_type, and content or base64", name, key)
		}
	}
	if _, _, err := mime.ParseMediaType(contentType); err != nil || strings.ContainsFunc(contentType, isControl) {
		return invalid("body", "the content_type of the file %.80q is not a media type", name)
	}
	if isEncoded {
		var err error
		if content, err = base64.StdEncoding.DecodeString(encoded); err != nil {
			return invalid("body", "the base64 of the file %.80q is not base64", name)
		}
	}
	part, err := w.CreatePart(textproto.MIMEHeader{
		"Content-Disposition": {multipart.FileContentDisposition(name, filename)},
		"Content-Type":        {contentType},
	})
	if err != nil {
		return err
	}
	_, err = part.Write(content)
	return err
}
