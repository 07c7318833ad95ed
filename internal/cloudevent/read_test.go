package cloudevent_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyflow/internal/cloudevent"
	"keyflow/internal/fault"
)

// read reads one event and returns it with its problems, as "path code".
func read(t *testing.T, h http.Header, body string) (cloudevent.Event, []string) {
	t.Helper()
	received, err := cloudevent.Read(h, []byte(body))
	if err != nil || len(received) != 1 {
		t.Fatalf("%+v, %v", received, err)
	}
	var problems []string
	for _, p := range received[0].Problems {
		problems = append(problems, p.Path+" "+p.Code)
	}
	return received[0].Event, problems
}

func structured() http.Header {
	return http.Header{"Content-Type": {"application/cloudevents+json; charset=UTF-8"}}
}

// The example of the specification (JSON format, section 3.2), and what else is right.
func TestStructured(t *testing.T) {
	t.Parallel()
	e, problems := read(t, structured(), `{
		"specversion": "1.0", "type": "com.example.someevent", "source": "/mycontext", "subject": null, "id": "C234-1234-1234",
		"time": "2018-04-05t17:31:00.5+09:00", "comexampleextension1": "value", "comexampleothervalue": 5, "flag": true, "keyflowdepth": "3",
		"dataschema": "urn:example:schema", "datacontenttype": "application/vnd.apache.thrift.binary", "data_base64": "TWFu"
	}`)
	if problems != nil || e.ID != "C234-1234-1234" || e.Source != "/mycontext" || e.Type != "com.example.someevent" || e.Depth != 3 {
		t.Errorf("event %+v, problems %v", e, problems)
	}
	if _, there := e.Value["subject"]; there || e.Value["comexampleothervalue"] != 5 || e.Value["data_base64"] != "TWFu" {
		t.Errorf("value %v", e.Value)
	}
	for name, attributes := range map[string]string{
		"null data": `"data": null`, "number": `"data": 1.5`, "source with a query": `"subject": "a b é 日"`, "empty base64": `"data_base64": ""`,
		"data of another type": `"datacontenttype": "text/plain", "data": "x"`, "largest integer": `"n": 2147483647`,
	} {
		if _, problems := read(t, structured(), `{"specversion": "1.0", "type": "t", "source": "https://a.example/b?c#d", "id": "1", `+attributes+`}`); problems != nil {
			t.Errorf("%s: %v", name, problems)
		}
	}
}

func TestStructuredRefused(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change string // of an attribute of a valid event
		want   []string
	}{
		"no id":               {`"id": null`, []string{"/id required"}},
		"empty id":            {`"id": ""`, []string{"/id invalid_value"}},
		"id is a number":      {`"id": 7`, []string{"/id wrong_type"}},
		"id with a newline":   {`"id": "a\nb"`, []string{"/id invalid_value"}},
		"id with NUL":         {`"id": "a\u0000"`, []string{"/id nul_character"}},
		"half a character":    {`"id": "\ud800"`, []string{" malformed"}},
		"noncharacter":        {`"id": "\uffff"`, []string{"/id invalid_value"}},
		"empty source":        {`"source": ""`, []string{"/source invalid_value"}},
		"source with space":   {`"source": "a b"`, []string{"/source invalid_value"}},
		"source not encoded":  {`"source": "/é"`, []string{"/source invalid_value"}},
		"source wrong escape": {`"source": "/%zz"`, []string{"/source invalid_value"}},
		"a workflow's source": {`"source": "/workflows/pay"`, []string{"/source reserved"}},
		"older version":       {`"specversion": "0.3"`, []string{"/specversion invalid_value"}},
		"version is a number": {`"specversion": 1.0`, []string{"/specversion wrong_type"}},
		"empty type":          {`"type": ""`, []string{"/type invalid_value"}},
		"keyflow's type":      {`"type": "keyflow.x"`, []string{"/type reserved"}},
		"long type":           {`"type": "` + strings.Repeat("x", 256) + `"`, []string{"/type invalid_value"}},
		"upper-case name":     {`"traceParent": "x"`, []string{"/traceParent invalid_attribute"}},
		"name with a dot":     {`"a.b": "x"`, []string{" invalid_attribute"}},
		"object":              {`"ext": {}`, []string{"/ext wrong_type"}},
		"fraction":            {`"ext": 1.5`, []string{"/ext wrong_type"}},
		"large integer":       {`"ext": 2147483648`, []string{"/ext wrong_type"}},
		"empty subject":       {`"subject": ""`, []string{"/subject invalid_value"}},
		"a date":              {`"time": "2026-03-01"`, []string{"/time invalid_value"}},
		"no offset":           {`"time": "2026-03-01T00:00:00"`, []string{"/time invalid_value"}},
		"content type":        {`"datacontenttype": "json"`, []string{"/datacontenttype invalid_value"}},
		"relative schema":     {`"dataschema": "/a"`, []string{"/dataschema invalid_value"}},
		"data twice":          {`"data": 1, "data_base64": "TWFu"`, []string{"/data_base64 invalid_value"}},
		"no base64":           {`"data_base64": "TWF"`, []string{"/data_base64 invalid_value"}},
		"NUL in a name":       {`"data": {"a": {"b\u0000": 1}}`, []string{"/data/a nul_character"}},
		"negative depth":      {`"keyflowdepth": -1`, []string{"/keyflowdepth invalid_value"}},
		"everything":          {`"id": "", "source": " ", "ext": []`, []string{"/ext wrong_type", "/id invalid_value", "/source invalid_value"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rest := ""
			for name, text := range map[string]string{"specversion": `"1.0"`, "id": `"1"`, "source": `"/s"`, "type": `"t"`} {
				if !strings.Contains(tt.change, `"`+name+`": `) {
					rest += `, "` + name + `": ` + text
				}
			}
			_, problems := read(t, structured(), "{"+tt.change+rest+"}")
			if diff := cmp.Diff(tt.want, problems); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

func TestBinary(t *testing.T) {
	t.Parallel()
	attributes := func(more ...string) http.Header {
		h := http.Header{"Ce-Id": {"1"}, "Ce-Source": {"/s"}, "Ce-Type": {"t"}, "Ce-Specversion": {"1.0"}}
		for i := 0; i+1 < len(more); i += 2 {
			h.Add(more[i], more[i+1])
		}
		return h
	}
	for name, tt := range map[string]struct {
		header   http.Header
		body     string
		value    map[string]any // beside the four
		problems []string
	}{
		"JSON":             {attributes("Content-Type", "application/json"), `{"a": [1]}`, map[string]any{"datacontenttype": "application/json", "data": map[string]any{"a": []any{1}}}, nil},
		"JSON by suffix":   {attributes("Content-Type", "application/x+json"), `1`, map[string]any{"datacontenttype": "application/x+json", "data": 1}, nil},
		"text":             {attributes("Content-Type", "text/plain"), `é`, map[string]any{"datacontenttype": "text/plain", "data": "é"}, nil},
		"JSON with a mark": {attributes("Content-Type", "application/json"), "\xef\xbb\xbf[1]", map[string]any{"datacontenttype": "application/json", "data": []any{1}}, nil},
		"JSON in EUC-KR":   {attributes("Content-Type", "application/json; charset=EUC-KR"), "[\"\xbe\xc8\"]", map[string]any{"datacontenttype": "application/json; charset=EUC-KR", "data": []any{"안"}}, nil},
		"text in EUC-KR":   {attributes("Content-Type", "text/plain; charset=EUC-KR"), "\xbe\xc8", map[string]any{"datacontenttype": "text/plain; charset=EUC-KR", "data": "안"}, nil},
		"text in no UTF-8": {attributes("Content-Type", "text/plain"), "\xbe\xc8", map[string]any{"datacontenttype": "text/plain", "data_base64": "vsg="}, nil},
		"bytes":            {attributes("Content-Type", "image/png"), "\xff\x00", map[string]any{"datacontenttype": "image/png", "data_base64": "/wA="}, nil},
		"nothing":          {attributes(), "", map[string]any{}, nil},
		"encoded":          {attributes("Ce-Subject", "Euro%20%E2%82%AC%20%F0%9F%98%80"), "", map[string]any{"subject": "Euro € 😀"}, nil},
		"depth":            {attributes("Ce-Keyflowdepth", "2"), "", map[string]any{"keyflowdepth": "2"}, nil},
		"header twice":     {attributes("Ce-Id", "2"), "", nil, []string{"/id duplicate_key", "/id required"}},
		"wrong encoding":   {attributes("Ce-Subject", "%zz"), "", nil, []string{"/subject invalid_value"}},
		"no UTF-8":         {attributes("Ce-Subject", "%ff"), "", nil, []string{"/subject invalid_value"}},
		"data as a header": {attributes("Ce-Data", "x"), "", nil, []string{"/data invalid_attribute"}},
		"broken JSON":      {attributes("Content-Type", "application/json"), `{`, nil, []string{"/data malformed"}},
		"duplicate key":    {attributes("Content-Type", "application/json"), `{"a": {"b": 1, "b": 2}}`, nil, []string{"/data/a/b duplicate_key"}},
		"NUL":              {attributes("Content-Type", "application/json"), `["\u0000"]`, nil, []string{"/data/0 nul_character"}},
		"too large":        {attributes(), strings.Repeat("x", 1<<20+1), nil, []string{"/data too_large"}},
		"missing":          {http.Header{"Ce-Id": {"1"}}, "", nil, []string{"/source required", "/type required", "/specversion required"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, problems := read(t, tt.header, tt.body)
			if diff := cmp.Diff(tt.problems, problems); diff != "" {
				t.Fatalf("problems (-want +got):\n%s", diff)
			}
			if tt.value == nil {
				return
			}
			for name, v := range map[string]any{"id": "1", "source": "/s", "type": "t", "specversion": "1.0"} {
				tt.value[name] = v
			}
			if diff := cmp.Diff(tt.value, e.Value); diff != "" {
				t.Errorf("event (-want +got):\n%s", diff)
			}
		})
	}
}

// application/json is taken by its shape; ce- headers say binary.
func TestForms(t *testing.T) {
	t.Parallel()
	one := `{"specversion": "1.0", "id": "1", "source": "/s", "type": "t"}`
	for name, tt := range map[string]struct {
		header http.Header
		body   string
		events int
		kind   fault.Kind
	}{
		"an object":        {http.Header{"Content-Type": {"application/json"}}, one, 1, 0},
		"a list":           {http.Header{"Content-Type": {"application/json"}}, " [" + one + "," + one + "]", 2, 0},
		"a batch":          {http.Header{"Content-Type": {cloudevent.MediaBatch}}, "[" + one + "]", 1, 0},
		"binary":           {http.Header{"Content-Type": {"application/json"}, "Ce-Id": {"1"}}, "[1, 2]", 1, 0},
		"structured first": {http.Header{"Content-Type": {cloudevent.MediaEvent}, "Ce-Id": {"1"}}, one, 1, 0},
		"nothing":          {http.Header{}, one, 0, fault.Malformed},
		"another charset":  {http.Header{"Content-Type": {cloudevent.MediaEvent + "; charset=utf-16"}}, one, 0, fault.Malformed},
		"another format":   {http.Header{"Content-Type": {"application/cloudevents+protobuf"}}, one, 0, fault.Malformed},
		"no media type":    {http.Header{"Content-Type": {"/"}}, one, 0, fault.Malformed},
		"cut off":          {http.Header{"Content-Type": {cloudevent.MediaBatch}}, "[" + one, 0, fault.Malformed},
		"deep":             {http.Header{"Content-Type": {cloudevent.MediaBatch}}, strings.Repeat("[", 20_000), 0, fault.Malformed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			received, err := cloudevent.Read(tt.header, []byte(tt.body))
			if len(received) != tt.events || (err != nil) != (tt.kind != 0) || err != nil && !fault.Is(err, tt.kind) {
				t.Errorf("%d events, %v", len(received), err)
			}
		})
	}
}

// A byte order mark says nothing else than that the body is in UTF-8.
func TestEventsWithAMark(t *testing.T) {
	t.Parallel()
	const event = `{"specversion": "1.0", "type": "t", "source": "/s", "id": "1"}`
	for name, tt := range map[string]struct{ contentType, body string }{
		"one":          {"application/cloudevents+json", event},
		"a batch":      {"application/cloudevents-batch+json", "[" + event + "]"},
		"one as JSON":  {"application/json", event},
		"many as JSON": {"application/json", "[" + event + "]"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			received, err := cloudevent.Read(http.Header{"Content-Type": {tt.contentType}}, []byte("\xef\xbb\xbf"+tt.body))
			if err != nil || len(received) != 1 || received[0].Problems != nil {
				t.Errorf("%+v, %v", received, err)
			}
		})
	}
}
