package vault_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"keyflow/credentials"
)

// That a credential ends soon hides its state and does not stop it from changing.
func TestSuccessIsNotedWhileACredentialExpires(t *testing.T) {
	t.Parallel()
	n := online(t)
	up := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	end := time.Now().Add(10 * 24 * time.Hour).UTC().Format(time.RFC3339)
	n.create(t, apiKey("api", up.host, "key-canary-1", fmt.Sprintf(`, "expires_at": %q`, end)))
	if s := n.state(t, "api"); s.Status != credentials.Expiring {
		t.Fatalf("state %+v", s)
	}
	mustGet(t, n, "api", up.URL+"/run")
	n.patch(t, "api", `{"expires_at": null}`)
	if s := n.state(t, "api"); s.Status != credentials.OK {
		t.Errorf("after a request that worked, without an end: %+v", s)
	}
}
