package engine_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyflow/engine"
	"keyflow/engine/attempt"
	"keyflow/nodes"
)

// TestNodeSeesItsEnvironment is the engine's side of nodes.Env.
func TestNodeSeesItsEnvironment(t *testing.T) {
	t.Parallel()
	upstream := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		fmt.Fprint(rw, req.Header.Get(attempt.DepthHeader))
	}))
	t.Cleanup(upstream.Close)
	w := setup(t)
	w.do = func(ctx context.Context, env nodes.Env, c call) (any, error) {
		client, err := env.Client(nodes.ClientOptions{})
		if err != nil {
			return nil, err
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, upstream.URL, nil)
		if err != nil {
			return nil, err
		}
		resp, err := client.Do(req)
		if err != nil {
			return nil, err
		}
		defer resp.Body.Close()
		depth, err := io.ReadAll(resp.Body)
		if err != nil {
			return nil, err
		}
		when, given, err := env.Eval(ctx, "when", map[string]any{"response": map[string]any{"status": 200}})
		if err != nil {
			return nil, err
		}
		_, other, _ := env.Eval(ctx, "arg", nil)
		return []any{string(depth), when, given, other, env.DeliveryID(), env.Attempt(), c.arg}, nil
	}
	id := w.apply(`{"id": "env", "nodes": {"each": {"type": "call", "for_each": "[5]", "with": {"arg": "{{ item }}", "when": "response.status == 200 && item == 5"}}}}`)
	started, err := w.engine.Start(context.Background(), engine.Start{Workflow: id, Depth: 4})
	if err != nil {
		t.Fatal(err)
	}
	_, steps := w.wait(started.Run)
	want := fmt.Sprintf(`["5",true,true,false,"%s/each/0",1,5]`, started.Run)
	if diff := cmp.Diff(want, string(steps["each/0"].Output)); diff != "" {
		t.Errorf("environment (-want +got), error %+v:\n%s", steps["each/0"].Error, diff)
	}
}
