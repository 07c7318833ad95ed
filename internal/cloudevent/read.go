package cloudevent

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"keyflow/internal/charset"
	"keyflow/internal/fault"
	"keyflow/internal/jsonvalue"
)

// Bounds of one request, in bytes and events.
const (
	MaxBody  = 5 << 20
	MaxEvent = 1 << 20
	MaxBatch = 1000
)

// The media types of the JSON format.
const (
	MediaEvent = "application/cloudevents+json"
	MediaBatch = "application/cloudevents-batch+json"
	mediaJSON  = "application/json"
)

// Received is one event of a request: with Problems it is not valid, and Event has what could be read.
type Received struct {
	Event    Event
	Path     string          // of the event in the body
	Problems []fault.Problem // their paths are JSON pointers into the body; of headers /id and so on
}

// Read reads the events of a request, in the order in which they were sent. A body without a form
// that is known or that is no JSON is Malformed, a batch of too many events Invalid.
func Read(h http.Header, body []byte) ([]Received, error) {
	media, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil && h.Get("Content-Type") != "" {
		return nil, fault.New(fault.Malformed, "the Content-Type is not a media type")
	}
	if name := params["charset"]; strings.HasPrefix(media, "application/cloudevents") && name != "" && !strings.EqualFold(name, "utf-8") {
		return nil, fault.New(fault.Malformed, "the charset must be utf-8")
	}
	events := bytes.TrimPrefix(body, []byte("\ufeff"))
	switch {
	case media == MediaBatch:
		return readBatch(events)
	case media == MediaEvent:
		return readOne(events)
	case strings.HasPrefix(media, "application/cloudevents"):
		return nil, fault.New(fault.Malformed, "only the JSON format of CloudEvents is known: %s or %s", MediaEvent, MediaBatch)
	case isBinary(h):
		return []Received{readBinary(h, media, body)}, nil
	case media == mediaJSON && firstByte(events) == '[':
		return readBatch(events)
	case media == mediaJSON:
		return readOne(events)
	default:
		return nil, fault.New(fault.Malformed, "send a CloudEvent as %s, many as %s, or one with ce- headers", MediaEvent, MediaBatch)
	}
}

func firstByte(body []byte) byte {
	for _, c := range body {
		if c != ' ' && c != '\t' && c != '\r' && c != '\n' {
			return c
		}
	}
	return 0
}

func readOne(body []byte) ([]Received, error) {
	if !json.Valid(body) {
		return nil, notJSON()
	}
	return []Received{readEvent(body, "")}, nil
}

func notJSON() error { return fault.New(fault.Malformed, "the body is not valid JSON") }

// readBatch reads each event on its own, so that a bad one spoils none of the others.
func readBatch(body []byte) ([]Received, error) {
	if !json.Valid(body) {
		return nil, notJSON()
	}
	texts := json.NewDecoder(bytes.NewReader(body))
	if start, _ := texts.Token(); start != json.Delim('[') {
		return nil, fault.New(fault.Malformed, "a batch is a list of events")
	}
	var out []Received
	for texts.More() {
		if len(out) == MaxBatch {
			return nil, fault.Problems("the batch is too large", []fault.Problem{{
				Code: codeTooLarge, Message: "a batch has at most " + strconv.Itoa(MaxBatch) + " events: send the rest in another one",
			}})
		}
		var text json.RawMessage
		if texts.Decode(&text) != nil {
			return nil, notJSON()
		}
		out = append(out, readEvent(text, "/"+strconv.Itoa(len(out))))
	}
	return out, nil
}

// readEvent reads the JSON form of one event, which stands at path. text is valid JSON.
func readEvent(text []byte, path string) Received {
	if len(text) > MaxEvent {
		return refused(path, codeTooLarge, "the event has "+strconv.Itoa(len(text))+" bytes; at most "+strconv.Itoa(MaxEvent)+" are allowed: send a link to what is larger")
	}
	v, err := jsonvalue.DecodeStrict(text)
	switch repeated, twice := errors.AsType[*jsonvalue.RepeatedKeyError](err); {
	case twice:
		return refused(path+pointer(repeated.Path), codeDuplicate, "the name is given twice")
	case errors.Is(err, jsonvalue.ErrTooDeep), errors.Is(err, jsonvalue.ErrTooMany):
		return refused(path, codeTooDeep, "the event is "+err.Error())
	case errors.Is(err, jsonvalue.ErrNotUTF8):
		return refused(path, codeMalformed, "the event is "+err.Error())
	case err != nil:
		return refused(path, codeMalformed, "the event is not valid JSON")
	}
	value, ok := v.(map[string]any)
	if !ok {
		return refused(path, codeType, "an event is an object")
	}
	out := Received{Path: path}
	out.Event, out.Problems = check(value, path)
	return out
}

// pointer is a path as a JSON pointer, up to the first step that could be more than a name.
func pointer(path []string) string {
	var b strings.Builder
	for _, step := range path {
		if shown(step) == "" {
			break
		}
		b.WriteString("/" + step)
	}
	return b.String()
}

func refused(path, code, message string) Received {
	return Received{Path: path, Problems: []fault.Problem{{Path: path, Code: code, Message: message}}}
}

// headerPrefix marks the headers that are attributes (HTTP binding, section 3.1.3).
const headerPrefix = "Ce-"

func isBinary(h http.Header) bool {
	for name := range h {
		if strings.HasPrefix(name, headerPrefix) {
			return true
		}
	}
	return false
}

// readBinary reads an event whose attributes are headers and whose data is the body.
func readBinary(h http.Header, media string, body []byte) Received {
	if len(body) > MaxEvent {
		return refused("/data", codeTooLarge, "the data has "+strconv.Itoa(len(body))+" bytes; at most "+strconv.Itoa(MaxEvent)+" are allowed")
	}
	value := map[string]any{}
	var wrong []fault.Problem
	for name, values := range h {
		attribute, ok := strings.CutPrefix(name, headerPrefix)
		if !ok {
			continue
		}
		attribute = strings.ToLower(attribute)
		text, err := url.PathUnescape(values[0])
		switch {
		case len(values) > 1:
			wrong = append(wrong, fault.Problem{Path: "/" + shown(attribute), Code: codeDuplicate, Message: "the header is given twice"})
		case err != nil || !utf8.ValidString(text):
			wrong = append(wrong, fault.Problem{Path: "/" + shown(attribute), Code: codeInvalid, Message: "the header is not percent-encoded UTF-8"})
		case attribute == "data" || attribute == "datacontenttype":
			wrong = append(wrong, fault.Problem{Path: "/" + attribute, Code: codeAttribute, Message: "the body is the data, and Content-Type its type: leave the header out"})
		default:
			value[attribute] = text
		}
	}
	if contentType := h.Get("Content-Type"); contentType != "" {
		value["datacontenttype"] = contentType
	}
	if problem := readData(value, media, body); problem != nil {
		wrong = append(wrong, *problem)
	}
	var out Received
	out.Event, out.Problems = check(value, "")
	out.Problems = append(wrong, out.Problems...)
	return out
}

// readData puts the body into the event: JSON as what it says, other text as text, both decoded by
// their charset, the rest as base64.
func readData(value map[string]any, media string, body []byte) *fault.Problem {
	contentType, _ := value["datacontenttype"].(string)
	isJSON := media == mediaJSON || strings.HasSuffix(media, "+json")
	text, textErr := charset.Decode(body, charset.Declared{ContentType: contentType})
	switch {
	case len(body) == 0:
	case isJSON:
		if textErr != nil {
			return &fault.Problem{Path: "/data", Code: codeMalformed, Message: "the body " + textErr.Error()}
		}
		v, err := jsonvalue.DecodeStrict(text)
		if repeated, twice := errors.AsType[*jsonvalue.RepeatedKeyError](err); twice {
			return &fault.Problem{Path: "/data" + pointer(repeated.Path), Code: codeDuplicate, Message: "the name is given twice"}
		}
		if err != nil {
			return &fault.Problem{Path: "/data", Code: codeMalformed, Message: "the body is not valid JSON in UTF-8, or nested too deeply"}
		}
		value["data"] = v
	case strings.HasPrefix(media, "text/") && textErr == nil:
		value["data"] = string(text)
	default:
		value["data_base64"] = base64.StdEncoding.EncodeToString(body)
	}
	return nil
}
