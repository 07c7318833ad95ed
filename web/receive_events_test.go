package web

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyflow/internal/identity"
)

func TestReceiveEvents(t *testing.T) {
	t.Parallel()
	s := newSetup(t)
	operator, elsewhere, viewer := s.token(identity.Operator, "/hr"), s.token(identity.Operator, "/sales"), s.token(identity.Viewer, "/")
	event := func(id, eventType string) string {
		return `{"specversion": "1.0", "id": "` + id + `", "source": "/s", "type": "` + eventType + `"}`
	}
	for name, tt := range map[string]struct {
		token, media, body string
		status             int
		want               string // part of the answer
	}{
		"one": {operator, "application/cloudevents+json", event("a", "start"), 202, `{"items":[{"id":"a","run_ids":["00000000-0000-0000-0000-000000000001"]}]}`},
		"many": {operator, "application/cloudevents-batch+json", "[" + event("a", "x") + "," + event("", "x") + "," + event("c", "start") + "]", 202,
			`{"items":[{"id":"a","run_ids":[]},{"id":"","run_ids":[],"error":{"path":"/1/id","code":"invalid_value","message":"must not be empty"}},{"id":"c","run_ids":["00000000-0000-0000-0000-000000000003"]}]}`},
		"by shape":      {operator, "application/json", "[" + event("a", "x") + "]", 202, `{"items":[{"id":"a","run_ids":[]}]}`},
		"another place": {elsewhere, "application/json", event("a", "start"), 202, `{"items":[{"id":"a","run_ids":[]}]}`},
		"may not start": {viewer, "application/json", event("a", "start"), 403, `operate`},
		"nobody":        {"", "application/json", event("a", "start"), 401, ``},
		"busy":          {operator, "application/json", event("a", "busy"), 503, `too much`},
		"no JSON":       {operator, "application/json", "{", 400, `not valid JSON`},
		"too large":     {operator, "application/json", `"` + strings.Repeat("x", 5<<20) + `"`, 413, ``},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			who := s.anonymous()
			if tt.token != "" {
				who = s.with(tt.token)
			}
			res := who.do(http.MethodPost, "/api/v1/events", tt.body, "Content-Type", tt.media)
			if res.status != tt.status || !strings.Contains(res.body, tt.want) {
				t.Errorf("%d %s", res.status, res.body)
			}
			if (res.header.Get("Retry-After") != "") != (tt.status == 503) {
				t.Errorf("Retry-After %q", res.header.Get("Retry-After"))
			}
		})
	}
}

// The three forms of the body are part of the OpenAPI document.
func TestEventsInOpenAPI(t *testing.T) {
	t.Parallel()
	text, err := OpenAPI("1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		Paths map[string]struct {
			Post struct {
				RequestBody struct {
					Content map[string]struct {
						Schema map[string]any `json:"schema"`
					} `json:"content"`
				} `json:"requestBody"`
			} `json:"post"`
		} `json:"paths"`
	}
	if err := json.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	content := document.Paths["/api/v1/events"].Post.RequestBody.Content
	one := map[string]any{"$ref": "#/components/schemas/CloudEvent"}
	for media, want := range map[string]map[string]any{
		"application/cloudevents+json": one,
		"application/json":             {"oneOf": []any{one, map[string]any{"type": "array", "items": one}}},
	} {
		if diff := cmp.Diff(want, content[media].Schema); diff != "" {
			t.Errorf("%s (-want +got):\n%s", media, diff)
		}
	}
	if content["application/cloudevents-batch+json"].Schema["type"] == nil {
		t.Errorf("batch: %v", content["application/cloudevents-batch+json"].Schema)
	}
}
