package vault_test

import (
	"strings"
	"testing"
	"time"

	"keyflow/credentials"
)

func TestKeepAlive(t *testing.T) {
	t.Parallel()
	n, p := online(t), provider(t)
	n.create(t, strings.Replace(authorizationCode("crm", p), `"scope"`, `"keep_alive": "7d", "scope"`, 1))
	n.create(t, authorizationCode("idle", p))
	n.create(t, strings.Replace(authorizationCode("never", p), `"scope"`, `"keep_alive": "7d", "scope"`, 1))
	connect(t, n, p, "crm")
	connect(t, n, p, "idle")
	keep := func(requests int) {
		t.Helper()
		if err := n.KeepAlive(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := len(p.TokenRequests()); got != requests {
			t.Errorf("%d token requests, want %d", got, requests)
		}
	}
	keep(2) // the two connects
	n.advance(6 * 24 * time.Hour)
	keep(2)
	n.advance(24 * time.Hour)
	keep(3)
	keep(3)
	mustGet(t, n, "crm", p.ResourceURL)
	n.advance(7 * 24 * time.Hour)
	p.RevokeAll()
	keep(4)
	keep(4) // once refused, it is a person's turn
	if s := n.state(t, "crm"); s.Status != credentials.NeedsReconnect {
		t.Errorf("state %+v", s)
	}
	for id, want := range map[credentials.ID]credentials.Status{"idle": credentials.OK, "never": credentials.NeedsConnect} {
		if s := n.state(t, id); s.Status != want {
			t.Errorf("%s: state %+v, want %s", id, s, want)
		}
	}
}
