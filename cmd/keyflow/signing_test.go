package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// A signed webhook comes in, a signed one goes out, tried twice; the other side of both is the
// library of Standard Webhooks.
func TestSignedWebhooksThroughAServer(t *testing.T) {
	t.Parallel()
	const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	library, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var ids, wrong []string
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		if err := library.Verify(body, r.Header); err != nil {
			wrong = append(wrong, err.Error())
		}
		ids = append(ids, r.Header.Get("Webhook-Id"))
		if len(ids) == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(up.Close)
	s := serve(t, "")
	s.must(http.MethodPost, "/api/v1/credentials", map[string]any{"id": "sign", "type": "signing", "fields": map[string]any{"secret": secret}, "allowed_hosts": []string{up.URL}})
	s.apply("relay", fmt.Sprintf(`{"id": "relay", "triggers": {"in": {"type": "webhook", "path": "relay", "credential": "sign", "respond": "on_finish"}}, "nodes": {
		"out": {"type": "webhook", "credential": "sign", "with": {"url": %q, "payload": "{{ input }}"}, "retry": {"max_attempts": 2, "initial": "10ms"}}
	}, "output": "{{ nodes.out.output.attempts }}"}`, up.URL))
	now := time.Now()
	post := func(signature string) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/hooks/relay", strings.NewReader(`{"a": 1}`))
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range map[string]string{
			"Content-Type": "application/json", "webhook-id": "msg_1", "webhook-timestamp": strconv.FormatInt(now.Unix(), 10), "webhook-signature": signature,
		} {
			req.Header.Set(name, value)
		}
		res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		body, _ := io.ReadAll(res.Body)
		return res.StatusCode, string(body)
	}
	if status, body := post("v1,AAAA"); status != http.StatusUnauthorized || strings.Contains(body, "sign") {
		t.Errorf("a wrong signature: %d %s", status, body)
	}
	signature, err := library.Sign("msg_1", now, []byte(`{"a": 1}`))
	if err != nil {
		t.Fatal(err)
	}
	if status, body := post(signature); status != http.StatusOK || strings.TrimSpace(body) != "2" {
		t.Fatalf("a signed call: %d %s", status, body)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(wrong) > 0 || len(ids) != 2 || ids[0] == "" || ids[0] != ids[1] {
		t.Errorf("sent out with ids %v, refused by the library: %v", ids, wrong)
	}
}
