package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"keyflow/internal/database/databasetest"
)

// delivery is one call of a sender that does not know whether an earlier one arrived.
type delivery struct {
	id     string
	try    int // of its sender
	to     *instance
	hangUp time.Duration // 0: the sender waits for the answer
}

// deliveries collects what senders were told.
type deliveries struct {
	t       *testing.T
	began   time.Time
	signer  *standardwebhooks.Webhook // nil: unsigned
	mu      sync.Mutex
	answers map[string]map[string]int // by id: bodies of 200
	first   map[string]int            // by id: answers without Keyflow-Duplicate
}

// send makes a delivery to /hooks/once.
func (d *deliveries) send(one delivery) {
	ctx := d.t.Context()
	if one.hangUp > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, one.hangUp)
		defer cancel()
	}
	body := fmt.Sprintf(`{"id": %q}`, one.id)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, one.to.url+"/hooks/once", strings.NewReader(body))
	if err != nil {
		d.t.Error(err)
		return
	}
	req.Header.Set("Content-Type", "application/json")
	if d.signer != nil {
		at := d.began.Add(-time.Duration(one.try) * time.Second) // each try is signed anew
		signature, err := d.signer.Sign(one.id, at, []byte(body))
		if err != nil {
			d.t.Error(err)
		}
		req.Header.Set("webhook-id", one.id)
		req.Header.Set("webhook-timestamp", fmt.Sprint(at.Unix()))
		req.Header.Set("webhook-signature", signature)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		if one.hangUp == 0 {
			d.t.Error(err)
		}
		return
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return // it hung up in the middle
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.answers[one.id] == nil {
		d.answers[one.id] = map[string]int{}
	}
	d.answers[one.id][fmt.Sprint(res.StatusCode, " ", string(answer))]++
	if res.Header.Get("Keyflow-Duplicate") == "" {
		d.first[one.id]++
	}
}

// F24 and F25: each event is delivered 5 or 50 times at once, out of order, to every process,
// by senders of which some hang up before the answer and send again: one run for each, and every
// sender hears of the same one.
func TestParallelDeliveries(t *testing.T) {
	t.Parallel()
	const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	signer, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	env := []string{"KEYFLOW_MASTER_KEY=" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 32))), "KEYFLOW_ADMIN_TOKEN=deliveries-admin-token-0123456789"}
	for name, tt := range map[string]struct {
		database func(t *testing.T) []string
		signer   *standardwebhooks.Webhook
	}{
		"sqlite by template": {func(*testing.T) []string { return nil }, nil},
		"sqlite signed":      {func(*testing.T) []string { return nil }, signer},
		"two processes signed": {func(t *testing.T) []string {
			t.Helper()
			return []string{"--database-url", databasetest.PostgresURL(t)}
		}, signer},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := tt.database(t)
			to := []*instance{serveWith(t, "", env, args...)}
			credential, dedupe := "", "trigger.request.body.id"
			if tt.signer != nil {
				to[0].must(http.MethodPost, "/api/v1/credentials", map[string]any{"id": "sender", "type": "signing", "fields": map[string]any{"secret": secret}})
				credential, dedupe = `"credential": "sender",`, "trigger.request.headers['webhook-id']"
			}
			to[0].apply("once", fmt.Sprintf(`{"id": "once", "triggers": {"h": {"type": "webhook", %s "path": "once", "respond": "on_finish", "dedupe": "{{ %s }}"}},
				"nodes": {"x": {"type": "transform", "with": {"value": "{{ run.id }}"}}}, "output": "{{ nodes.x.output }}"}`, credential, dedupe))
			if len(args) > 0 {
				to = append(to, serveWith(t, "", env, args...))
			}
			for _, s := range to {
				eventually(t, "the webhook is there", func() bool { return s.do(http.MethodGet, "/hooks/once", nil).status == http.StatusMethodNotAllowed })
			}
			d := &deliveries{t: t, began: time.Now(), signer: tt.signer, answers: map[string]map[string]int{}, first: map[string]int{}}
			var all []delivery
			for event, copies := range []int{5, 50, 5, 50} {
				for i := range copies {
					one := delivery{id: fmt.Sprint("event-", event), try: i, to: to[i%len(to)]}
					if event > 1 && i%2 == 0 {
						one.hangUp = time.Duration(i) * 200 * time.Microsecond
					}
					all = append(all, one)
				}
			}
			rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
			var senders sync.WaitGroup
			for _, one := range all {
				senders.Go(func() { d.send(one) })
			}
			senders.Wait()
			for event := range 4 {
				id := fmt.Sprint("event-", event)
				if len(d.answers[id]) != 1 || d.first[id] > 1 || event < 2 && d.first[id] != 1 {
					t.Errorf("%s: answers %v, %d of them the first", id, d.answers[id], d.first[id])
				}
			}
			if n := to[0].runs("once"); n != 4 {
				t.Errorf("%d runs, want 4", n)
			}
		})
	}
}

// A signed request that is repeated on its way, signature and all, is refused, and is no guess:
// its sender is not locked out.
func TestRepeatedSignaturesLockNobodyOut(t *testing.T) {
	t.Parallel()
	const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	library, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t, "")
	s.must(http.MethodPost, "/api/v1/credentials", map[string]any{"id": "sender", "type": "signing", "fields": map[string]any{"secret": secret}})
	s.apply("in", `{"id": "in", "triggers": {"h": {"type": "webhook", "credential": "sender", "path": "in"}}, "nodes": {"x": {"type": "transform", "with": {"value": 1}}}}`)
	now := time.Now()
	send := func(id string) int {
		signature, err := library.Sign(id, now, []byte("{}"))
		if err != nil {
			t.Fatal(err)
		}
		return s.do(http.MethodPost, "/hooks/in", "{}", "Authorization", "", "webhook-id", id, "webhook-timestamp", fmt.Sprint(now.Unix()), "webhook-signature", signature).status
	}
	if got := send("one"); got != http.StatusAccepted {
		t.Fatalf("first: %d", got)
	}
	for range 15 {
		if got := send("one"); got != http.StatusUnauthorized {
			t.Errorf("repeated: %d", got)
		}
	}
	if got := send("two"); got != http.StatusAccepted || s.runs("in") != 2 {
		t.Errorf("another: %d, %d runs", got, s.runs("in"))
	}
}
