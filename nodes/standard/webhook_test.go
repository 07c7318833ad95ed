package standard_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyflow/nodes"
	"keyflow/nodes/nodetest"
)

func TestWebhook(t *testing.T) {
	t.Parallel()
	var seen recorder
	env := nodetest.New(t)
	env.Delivery, env.Number = "0190/notify/2", 3
	before := time.Now()
	got, err := env.Run(t, typeOf(t, "webhook"), map[string]any{
		"url":     serve(t, seen.ServeHTTP) + "/hook",
		"payload": map[string]any{"pushed": 3, "text": "a<b"},
		"event":   "com.example.pushed",
		"headers": map[string]any{"x-team": "ops"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]any{"status": 200, "delivery_id": "0190/notify/2", "attempts": 3}, got); diff != "" {
		t.Error(diff)
	}
	req, body := seen.last(t)
	if req.Method != "POST" || req.URL.Path != "/hook" || body != `{"pushed":3,"text":"a<b"}` {
		t.Errorf("got %s %s with %s", req.Method, req.URL, body)
	}
	for name, want := range map[string]string{
		"webhook-id": "0190/notify/2", "webhook-event": "com.example.pushed", "content-type": "application/json",
		"x-team": "ops", "user-agent": "keyflow",
	} {
		if got := req.Header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	sent, err := strconv.ParseInt(req.Header.Get("webhook-timestamp"), 10, 64)
	if err != nil || sent < before.Unix() || sent > time.Now().Unix() {
		t.Errorf("webhook-timestamp is %q", req.Header.Get("webhook-timestamp"))
	}
}

// The id is that of the delivery, not of the attempt: receivers drop repeats by it.
func TestWebhookRepeatsItsID(t *testing.T) {
	t.Parallel()
	var ids []string
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		ids = append(ids, r.Header.Get("Webhook-Id"))
		if len(ids) == 1 {
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	env := nodetest.New(t)
	_, err := env.Run(t, typeOf(t, "webhook"), map[string]any{"url": url})
	if e := stepError(t, err); e.Code != "http_status" || e.Status != 503 || e.RetryAfter != 7*time.Second {
		t.Errorf("first attempt: %+v", e)
	}
	env.Number = 2
	got, err := env.Run(t, typeOf(t, "webhook"), map[string]any{"url": url})
	if err != nil || got.(map[string]any)["attempts"] != 2 {
		t.Errorf("second attempt: %v, %v", got, err)
	}
	if diff := cmp.Diff([]string{"run/node/0", "run/node/0"}, ids); diff != "" {
		t.Error(diff)
	}
}

func TestWebhookDefaults(t *testing.T) {
	t.Parallel()
	var seen recorder
	url := serve(t, seen.ServeHTTP)
	if _, err := nodetest.New(t).Run(t, typeOf(t, "webhook"), map[string]any{"url": url, "method": "PUT"}); err != nil {
		t.Fatal(err)
	}
	if req, body := seen.last(t); req.Method != "PUT" || body != "{}" || req.Header.Get("Webhook-Event") != "" {
		t.Errorf("got %s with %s and %v", req.Method, body, req.Header)
	}
}

// A redirect of a delivery is a failure: the receiver has moved and must be updated.
func TestWebhookFollowsNoRedirect(t *testing.T) {
	t.Parallel()
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			t.Error("the redirect was followed")
		}
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	})
	_, err := nodetest.New(t).Run(t, typeOf(t, "webhook"), map[string]any{"url": url})
	e := stepError(t, err)
	if want := strings.TrimPrefix(url, "http://") + " answered 307 Temporary Redirect"; e.Code != "http_status" || e.Message != want {
		t.Errorf("%+v", e)
	}
}

func TestWebhookRefusesParameters(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		with map[string]any
		want string
	}{
		"url":            {map[string]any{"url": "file:///etc/passwd"}, "with.url: must begin with http:// or https://"},
		"own id":         {map[string]any{"headers": map[string]any{"webhook-id": "x"}}, "with.headers: Webhook-Id is set by Keyflow itself"},
		"own signature":  {map[string]any{"headers": map[string]any{"WEBHOOK-SIGNATURE": "x"}}, "with.headers: Webhook-Signature is set by Keyflow itself"},
		"framing header": {map[string]any{"headers": map[string]any{"host": "x"}}, "with.headers: Host is set by Keyflow itself"},
		"event":          {map[string]any{"event": "a\r\nb"}, "with.event: holds a line break or control character"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tt.with["url"] == nil {
				tt.with["url"] = serve(t, func(http.ResponseWriter, *http.Request) { t.Error("a request was sent") })
			}
			_, err := nodetest.New(t).Run(t, typeOf(t, "webhook"), tt.with)
			want := &nodes.Error{Code: "invalid_param", Message: tt.want, Permanent: true}
			if diff := cmp.Diff(want, stepError(t, err)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestWebhookDeliversWhateverTheAnswerIs: a receiver that took the notification and answers with
// something unreadable must not get it again.
func TestWebhookDeliversWhateverTheAnswerIs(t *testing.T) {
	t.Parallel()
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json; charset=klingon")
		_, _ = w.Write([]byte("NaN\xff"))
	})
	got, err := nodetest.New(t).Run(t, typeOf(t, "webhook"), map[string]any{"url": url})
	if err != nil || got.(map[string]any)["status"] != 200 {
		t.Errorf("got %v, %v", got, err)
	}
}
