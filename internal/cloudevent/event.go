// Package cloudevent reads CloudEvents 1.0 (https://github.com/cloudevents/spec, v1.0.2) in the
// three forms of its HTTP binding: structured, batch and binary. It is strict, and reports what is
// wrong with one event of a batch without giving up the others.
//
// It owns what an event may look like. It must not know who receives events.
package cloudevent

import (
	"encoding/base64"
	"maps"
	"math"
	"mime"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"keyflow/internal/fault"
)

const (
	// DepthAttribute is the extension that tells how many starts of workflows led to an event.
	DepthAttribute = "keyflowdepth"
	// Reserved is how the types of Keyflow's own events begin.
	Reserved = "keyflow."

	// MaxType bounds the type, in bytes.
	MaxType = 255
	// MaxText bounds every other attribute, in bytes.
	MaxText = 4096
)

// Event is one valid CloudEvent.
type Event struct {
	ID, Source, Type string
	Depth            int
	// Value is the whole event as plain data, as its JSON form has it: attributes, and data or
	// data_base64. It is not changed.
	Value map[string]any
}

// Codes of problems.
const (
	codeRequired  = "required"
	codeInvalid   = "invalid_value"
	codeType      = "wrong_type"
	codeAttribute = "invalid_attribute"
	codeReserved  = "reserved"
	codeNUL       = "nul_character"
	codeTooLarge  = "too_large"
	codeDuplicate = "duplicate_key"
	codeMalformed = "malformed"
	codeTooDeep   = "too_deep"
)

// CheckType says what is wrong with a type that somebody gives to an event; "" is nothing.
func CheckType(name string) string {
	switch {
	case name == "":
		return "must not be empty"
	case len(name) > MaxType:
		return "has " + strconv.Itoa(len(name)) + " bytes; at most " + strconv.Itoa(MaxType) + " are allowed"
	case !isText(name):
		return "must not hold control characters"
	case strings.HasPrefix(name, Reserved):
		return "types that begin with " + Reserved + " are Keyflow's own; take a name of yours, such as com.example.ticket.created"
	default:
		return ""
	}
}

// problems collects what is wrong with one event, which stands at path.
type problems struct {
	path string
	list []fault.Problem
}

func (p *problems) add(name, code, message string) {
	at := p.path
	if name != "" {
		at += "/" + escape(name)
	}
	p.list = append(p.list, fault.Problem{Path: at, Code: code, Message: message})
}

// escape makes a name a token of a JSON pointer (RFC 6901 section 3).
func escape(name string) string { return strings.NewReplacer("~", "~0", "/", "~1").Replace(name) }

// check turns plain data into an event, or says everything that is wrong with it.
func check(value map[string]any, path string) (Event, []fault.Problem) {
	p := &problems{path: path}
	e := Event{Value: make(map[string]any, len(value))}
	for _, name := range slices.Sorted(maps.Keys(value)) {
		v := value[name]
		switch {
		case name == "data":
			checkData(p, v)
		case v == nil: // the same as an absent one (JSON format, section 2.2)
			continue
		case name == "data_base64":
			checkBase64(p, v)
		case !isName(name):
			p.add(shown(name), codeAttribute, "names of attributes are lower-case letters and digits (at most 64)")
		default:
			checkAttribute(p, name, v)
		}
		e.Value[name] = v
	}
	if _, both := value["data"]; both && value["data_base64"] != nil {
		p.add("data_base64", codeInvalid, "an event has data or data_base64, not both")
	}
	e.ID, e.Source, e.Type = required(p, value, "id"), required(p, value, "source"), required(p, value, "type")
	required(p, value, "specversion")
	e.Depth = depth(p, value[DepthAttribute])
	return e, p.list
}

// shown is a name that may be repeated in an error: anything else could be a value in the wrong place.
func shown(name string) string {
	if ok, _ := regexp.MatchString(`^[A-Za-z0-9_-]{1,40}$`, name); ok {
		return name
	}
	return ""
}

func isName(name string) bool {
	if name == "" || len(name) > 64 {
		return false
	}
	return !strings.ContainsFunc(name, func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') })
}

// required returns a required text and reports its absence; what else is wrong is reported elsewhere.
func required(p *problems, value map[string]any, name string) string {
	if value[name] == nil {
		p.add(name, codeRequired, "the attribute is required")
	}
	text, _ := value[name].(string)
	return text
}

// checkAttribute checks an attribute's type and, where the specification has one, its rule.
func checkAttribute(p *problems, name string, v any) {
	text, isString := v.(string)
	rule, ruled := rules()[name]
	switch n := v.(type) {
	case string:
	case bool:
		isString = !ruled
	case int:
		isString = !ruled && n >= math.MinInt32 && n <= math.MaxInt32
	}
	switch {
	case !isString && ruled:
		p.add(name, codeType, "must be text")
	case !isString:
		p.add(name, codeType, "an extension is text, true, false, or a whole number of 32 bits; put anything else into data")
	case len(text) > MaxText:
		p.add(name, codeTooLarge, "has "+strconv.Itoa(len(text))+" bytes; at most "+strconv.Itoa(MaxText)+" are allowed")
	case strings.ContainsRune(text, 0):
		p.add(name, codeNUL, "must not hold the character \\u0000")
	case !isText(text):
		p.add(name, codeInvalid, "must not hold control characters")
	case ruled && text == "":
		p.add(name, codeInvalid, "must not be empty")
	case ruled:
		if wrong := rule(text); wrong != "" {
			code := codeInvalid
			if strings.HasPrefix(text, Reserved) || isOwn(text) {
				code = codeReserved
			}
			p.add(name, code, wrong)
		}
	}
}

// rules are those of the attributes that the specification names (section "Context Attributes").
func rules() map[string]func(string) string {
	return map[string]func(string) string{
		"id": anyText, "subject": anyText, "specversion": checkVersion, "type": CheckType, "source": checkSource,
		"dataschema": checkURI, "datacontenttype": checkMedia, "time": checkTime,
	}
}

func anyText(string) string { return "" }

func checkVersion(text string) string {
	if text != "1.0" {
		return `must be "1.0"`
	}
	return ""
}

// isOwn reports whether a source is one that Keyflow gives to what it tells itself: nobody else
// may speak in the name of a workflow or a credential.
func isOwn(source string) bool {
	return strings.HasPrefix(source, "/workflows/") || strings.HasPrefix(source, "/credentials/")
}

func checkSource(text string) string {
	switch {
	case isOwn(text):
		return "sources that begin with /workflows/ or /credentials/ are Keyflow's own; take a URI of yours, such as https://tickets.example.com"
	case !isURI(text):
		return "must be a URI reference (RFC 3986), such as https://tickets.example.com or /tickets"
	default:
		return ""
	}
}

func checkURI(text string) string {
	if u, err := url.Parse(text); err != nil || !isURI(text) || u.Scheme == "" {
		return "must be an absolute URI (RFC 3986)"
	}
	return ""
}

// isURI reports whether a text is a URI reference: url.Parse alone lets other characters pass.
func isURI(text string) bool {
	const marks = "-._~:/?#[]@!$&'()*+,;=%"
	for _, r := range text {
		if (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && !strings.ContainsRune(marks, r) {
			return false
		}
	}
	_, err := url.Parse(text)
	return err == nil
}

func checkMedia(text string) string {
	if media, _, err := mime.ParseMediaType(text); err != nil || !strings.Contains(media, "/") {
		return "must be a media type (RFC 2046), such as application/json"
	}
	return ""
}

func checkTime(text string) string {
	if _, err := time.Parse(time.RFC3339Nano, strings.ToUpper(text)); err != nil || strings.Contains(text, ",") {
		return "must be a time in RFC 3339, such as 2026-03-01T09:00:00Z"
	}
	return ""
}

// isText reports whether a text holds only what the type String allows: no control characters,
// no characters that Unicode will never assign.
func isText(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool {
		return r < 0x20 || r >= 0x7F && r <= 0x9F || r >= 0xFDD0 && r <= 0xFDEF || r&0xFFFE == 0xFFFE
	})
}

func checkBase64(p *problems, v any) {
	text, ok := v.(string)
	if !ok {
		p.add("data_base64", codeType, "must be text")
		return
	}
	if _, err := base64.StdEncoding.Strict().DecodeString(text); err != nil {
		p.add("data_base64", codeInvalid, "must be base64 (RFC 4648 section 4)")
	}
}

// depth reads the extension that guards against loops; a text, too, because headers have nothing else.
func depth(p *problems, v any) int {
	n, ok := v.(int)
	if text, isText := v.(string); isText {
		parsed, err := strconv.Atoi(text)
		n, ok = parsed, err == nil
	}
	if v != nil && (!ok || n < 0) {
		p.add(DepthAttribute, codeInvalid, "must be a whole number from 0")
	}
	return max(n, 0)
}

// checkData refuses the one character that databases and programs cut texts at.
func checkData(p *problems, v any) {
	if at, found := findNUL(v, ""); found {
		p.list = append(p.list, fault.Problem{Path: p.path + "/data" + at, Code: codeNUL, Message: "must not hold the character \\u0000"})
	}
}

// findNUL returns the pointer of the first text or name with a NUL. Depth is bounded by jsonvalue.
func findNUL(v any, at string) (string, bool) {
	switch v := v.(type) {
	case string:
		return at, strings.ContainsRune(v, 0)
	case []any:
		for i := range v {
			if found, ok := findNUL(v[i], at+"/"+strconv.Itoa(i)); ok {
				return found, true
			}
		}
	case map[string]any:
		for name := range v {
			if strings.ContainsRune(name, 0) {
				return at, true
			}
		}
		for _, name := range slices.Sorted(maps.Keys(v)) {
			if found, ok := findNUL(v[name], at+"/"+escape(name)); ok {
				return found, true
			}
		}
	}
	return "", false
}
