package attempt

import (
	"strings"

	"keyflow/credentials/redact"
	"keyflow/engine/values"
	"keyflow/internal/jsonvalue"
	"keyflow/nodes"
)

// disclosed are redacted texts that a step has sent: whatever comes back hides them.
type disclosed struct{ texts []string }

// reveal notes a text that is sent, and the values of cookies in it: of "a=1; Path=/, b=2" also 1
// and 2. A comma separates cookies, as in joined headers, or is part of a value.
func (d *disclosed) reveal(text string) {
	d.texts = append(d.texts, text)
	for part := range strings.SplitSeq(text, ";") {
		d.revealCookie(part)
		for cookie := range strings.SplitSeq(part, ",") {
			d.revealCookie(cookie)
		}
	}
}

func (d *disclosed) revealCookie(text string) {
	name, value, ok := strings.Cut(strings.TrimSpace(text), "=")
	if cookieAttributes[strings.ToLower(name)] {
		return
	}
	if !ok {
		value = name
	}
	d.texts = append(d.texts, value, strings.Trim(value, `"`))
}

// maskValue hides the texts in what came back to a node.
func (d *disclosed) maskValue(node string, v any) any {
	if len(d.texts) == 0 {
		return v
	}
	mask := d.mask()
	return jsonvalue.ReplaceTexts(v, func(text any) any {
		plain, ok := text.(string)
		if !ok || mask.String(plain) == plain {
			return text
		}
		return jsonvalue.Hide(values.OutputSource(node))
	})
}

func (d *disclosed) mask() *redact.Redactor { return redact.New(redact.Secrets{Values: d.texts}) }

func (d *disclosed) maskText(text string) string {
	if len(d.texts) == 0 {
		return text
	}
	return d.mask().String(text)
}

// maskError hides them in an error.
func (d *disclosed) maskError(node string, err *nodes.Error) *nodes.Error {
	if len(d.texts) == 0 || err == nil {
		return err
	}
	shown := *err
	shown.Err = nil
	shown.Message = d.maskText(err.Message)
	if err.Response != nil {
		shown.Response = d.maskValue(node, err.Response)
	}
	return &shown
}

// cookieAttributes are what Set-Cookie says of a cookie (RFC 6265 section 5.2): no secrets.
var cookieAttributes = map[string]bool{
	"": true, "domain": true, "path": true, "expires": true, "max-age": true, "samesite": true,
	"secure": true, "httponly": true, "partitioned": true, "priority": true,
}
