package web

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"keyflow/credentials/vault"
	"keyflow/engine"
	runssql "keyflow/engine/sqlstore"
	"keyflow/engine/sqlstore/heartbeat"
	"keyflow/internal/database"
	"keyflow/internal/database/databasetest"
	"keyflow/internal/identity"
	"keyflow/nodes"
	"keyflow/nodes/standard"
	"keyflow/workflows"
)

// newEngine runs a real engine over the parts of d until the test ends.
func newEngine(t *testing.T, d *Deps) *engine.Engine {
	t.Helper()
	return newEngineOn(t, d, databasetest.SQLite(t))
}

func newEngineOn(t *testing.T, d *Deps, db *database.DB) *engine.Engine {
	t.Helper()
	catalog, ok := d.Workflows.(*workflows.Catalog)
	if !ok {
		t.Fatalf("workflows are a %T", d.Workflows)
	}
	vault, ok := d.Credentials.(*vault.Vault)
	if !ok {
		t.Fatalf("credentials are a %T", d.Credentials)
	}
	store, err := runssql.New(db)
	if err != nil {
		t.Fatal(err)
	}
	d.Uses = store
	e, err := engine.New(engine.Options{
		Store: store, Owners: heartbeat.New(db), Catalog: catalog, Types: nodes.NewRegistry(standard.Types()...),
		Credentials: vault.Resolver(), Exclusive: true, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- e.Serve(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Errorf("engine: %v", err)
		}
	})
	return e
}

// A workflow calls a protected API through the whole stack; the answer and the history show
// what happened and never the secret.
func TestRunThroughTheRealEngine(t *testing.T) {
	t.Parallel()
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, pass, _ := r.BasicAuth()
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"right": pass == canary, "echo": r.Header.Get("Authorization") + pass})
	}))
	t.Cleanup(upstream.Close)
	s := newSetup(t, func(d *Deps) { d.Runs = newEngine(t, d) })
	host := strings.TrimPrefix(upstream.URL, "http://")
	admin := s.admin()
	admin.run([]scenario{
		{name: "credential", method: "POST", path: "/api/v1/credentials", status: 201, body: fmt.Sprintf(
			`{"id":"erp","name":"ERP","type":"basic_auth","fields":{"username":"u","password":%q},"allowed_hosts":["http://%s"]}`, canary, host)},
		{name: "workflow", method: "PUT", path: "/api/v1/workflows/sync", status: 201, body: fmt.Sprintf(
			`{"id":"sync","nodes":{"pull":{"type":"web_request","credential":"erp","with":{"url":"http://%s/"}}},"output":"{{ nodes.pull.output.body }}"}`, host)},
	})
	got := admin.do("POST", "/api/v1/workflows/sync/runs?wait=60s", `{"input":{}}`)
	run := got.json(t)
	output, _ := run["output"].(map[string]any)
	if got.status != 200 || run["status"] != "succeeded" || output["right"] != true {
		t.Fatalf("run: %d %s", got.status, got.body)
	}
	id, _ := run["id"].(string)
	admin.run([]scenario{
		{name: "history", method: "GET", path: "/api/v1/runs/" + id, status: 200, has: []string{
			`"workflow":"sync","version":1,"folder":"/","status":"succeeded"`, `"node":"pull","index":null,"status":"succeeded","attempt":1`,
			`"request":{"method":"GET","url":"http://` + host + `/","status":200`, `"credential":"erp","version":1`}, hasNot: []string{canary}},
		{name: "list", method: "GET", path: "/api/v1/runs?workflow=sync&status=succeeded", status: 200, has: []string{id}, hasNot: []string{`"steps"`}},
		{name: "uses of the credential", method: "GET", path: "/api/v1/credentials/erp/uses", status: 200, has: []string{
			`{"items":[{"run":"` + id + `","workflow":"sync","node":"pull","index":null,"at":"`, `"method":"GET","host":"` + host + `"`, `"status":200,`,
			`"version":1,"fingerprint":"`, `"next_cursor":null`}, hasNot: []string{canary}},
		{name: "uses with a foreign cursor", method: "GET", path: "/api/v1/credentials/erp/uses?cursor=x", status: 422, has: []string{`"/cursor"`}},
		{name: "uses of no credential", method: "GET", path: "/api/v1/credentials/nope/uses", status: 404},
		{name: "credential of a folder, used from outside", method: "PATCH", path: "/api/v1/credentials/erp", status: 200, body: `{"folder":"/hr","allowed_workflows":["/**"]}`},
	})
	s.with(s.token(identity.Viewer, "/hr")).run([]scenario{
		{name: "uses in folders one may not view", method: "GET", path: "/api/v1/credentials/erp/uses", status: 200, has: []string{`{"items":[],"next_cursor":null}`}},
	})
	admin.run([]scenario{
		{name: "cancel after the end", method: "POST", path: "/api/v1/runs/" + id + "/cancel", status: 409},
		{name: "delete", method: "DELETE", path: "/api/v1/runs/" + id, status: 204},
		{name: "gone", method: "GET", path: "/api/v1/runs/" + id, status: 404},
	})
	if strings.Contains(got.body, canary) {
		t.Errorf("the answer holds the secret\n%s", got.body)
	}
}
