package vault_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"keyflow/credentials"
)

func TestRotateByAWorkflow(t *testing.T) {
	t.Parallel()
	use := func(workflow string) credentials.Use {
		return credentials.Use{ID: "api", Workflow: workflow, Folder: "/it"}
	}
	tests := map[string]struct {
		use    credentials.Use
		fields map[string]any
		code   string
		text   string
	}{
		"good":            {use("rotate"), newKey(), "", ""},
		"same values":     {use("rotate"), map[string]any{"value": "old-key-1"}, "", ""},
		"wrong value":     {use("rotate"), map[string]any{"value": "wrong-key"}, credentials.CodeRefused, "was not rotated, the new values did not pass the test"},
		"may only use it": {use("sync"), newKey(), credentials.CodeWorkflowNotAllowed, `may not be tested, refreshed or rotated by the workflow "sync" in folder /it; add it to the credential's rotatable_by`},
		"may not use it":  {credentials.Use{ID: "api", Workflow: "rotate", Folder: "/hr"}, newKey(), credentials.CodeWorkflowNotAllowed, "may not be used by the workflow"},
		"unknown":         {credentials.Use{ID: "nope", Workflow: "rotate", Folder: "/it"}, newKey(), credentials.CodeUnknown, "does not exist"},
		"widening":        {use("rotate"), map[string]any{"key": "X-Echoed"}, "invalid_param", "/fields/key this change could send the stored secret somewhere new"},
		"unknown field":   {use("rotate"), map[string]any{"valeu": "canary"}, "invalid_param", "/fields/valeu is not a field of api_key"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n, g := online(t), guard(t, "old-key-1", "new-key-2")
			n.create(t, g.apiKey(`, "folder": "/it", "rotatable_by": ["/it/rotate", "/hr/*"]`))
			_, err := n.Rotate(t.Context(), tt.use, tt.fields)
			e, ok := errors.AsType[*credentials.Error](err)
			switch {
			case tt.code == "" && err != nil, tt.code != "" && (!ok || e.Code != tt.code || !strings.Contains(e.Message, tt.text)):
				t.Fatalf("got %v, want %s", err, tt.code)
			case ok && strings.Contains(e.Error(), "wrong-key"):
				t.Errorf("the new value is in the error: %v", err)
			}
			c := n.credential(t)
			if name != "good" {
				if c.Version != 1 || c.FallBack != nil {
					t.Errorf("changed: %+v", c)
				}
				return
			}
			if c.Version != 2 || c.State.Status != credentials.OK || c.FallBack == nil || c.UpdatedBy != "workflow:rotate" {
				t.Errorf("rotated: %+v", c)
			}
			if versions, err := n.Versions(t.Context(), admin, "api"); err != nil || versions[0].Origin != credentials.OriginRotation {
				t.Errorf("versions %+v, %v", versions, err)
			}
			g.accept("old-key-1")
			client := n.client(t, use("sync"))
			if a, err := call(t, client, http.MethodGet, g.URL+"/run", ""); err != nil || a.status != http.StatusOK || n.credential(t).Version != 3 {
				t.Errorf("did not fall back: %+v, %v", a, err)
			}
		})
	}
}
