package vault_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"keyflow/credentials"
	"keyflow/internal/fault"
)

const (
	whsec1 = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	whsec2 = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
)

// signed is a request that asks to be let in.
func signed(body string, headers map[string]string) (*http.Request, []byte) {
	r := httptest.NewRequest(http.MethodPost, "https://flow.example.com/hooks/x", strings.NewReader(body))
	for name, value := range headers {
		r.Header.Set(name, value)
	}
	return r, []byte(body)
}

func (n *network) verify(t *testing.T, id credentials.ID, body string, headers map[string]string) error {
	t.Helper()
	r, raw := signed(body, headers)
	_, err := n.Verify(t.Context(), id, "hook", "/", r, raw)
	return err
}

// What the library of Standard Webhooks signs we accept, and the other way round.
func TestSigningAgreesWithStandardWebhooks(t *testing.T) {
	t.Parallel()
	n := online(t)
	up := serve(t, nil)
	n.create(t, fmt.Sprintf(`{"id": "sign", "type": "signing", "fields": {"secret": %q, "secret_2": %q}, "allowed_hosts": [%q]}`, whsec1, whsec2, up.host))
	const body = `{"a":  1, "é": "☃"}`
	for i, key := range []string{whsec1, whsec2} {
		library, err := standardwebhooks.NewWebhook(key)
		if err != nil {
			t.Fatal(err)
		}
		id, now := "msg_"+strconv.Itoa(i), time.Now()
		signature, err := library.Sign(id, now, []byte(body))
		if err != nil {
			t.Fatal(err)
		}
		r, raw := signed(body, map[string]string{"webhook-id": id, "webhook-timestamp": strconv.FormatInt(now.Unix(), 10), "webhook-signature": "v1a,nonsense " + signature})
		held, err := n.Verify(t.Context(), "sign", "hook", "/", r, raw)
		if err != nil || strings.Join(held, " ") != "Webhook-Signature" {
			t.Errorf("%s of the library: held %v, %v", key, held, err)
		}

		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, up.URL, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Webhook-Id", "delivery-1")
		res, err := n.client(t, credentials.Use{ID: "sign"}).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		got := up.requests()[i]
		if got.Body != body || got.Header.Get("Webhook-Id") != "delivery-1" {
			t.Errorf("sent %+v", got)
		}
		if err := library.Verify([]byte(got.Body), got.Header); err != nil {
			t.Errorf("the library refuses ours: %v (%v)", err, got.Header)
		}
	}
}

// Every attempt has its own time; the delivery's id stays.
func TestSigningSignsEachAttempt(t *testing.T) {
	t.Parallel()
	n := online(t)
	up := serve(t, nil)
	n.create(t, fmt.Sprintf(`{"id": "sign", "type": "signing", "fields": {"secret": %q}, "allowed_hosts": [%q]}`, whsec1, up.host))
	client := n.client(t, credentials.Use{ID: "sign"})
	for range 2 {
		if _, err := call(t, client, http.MethodPost, up.URL, "{}"); err != nil {
			t.Fatal(err)
		}
		n.advance(time.Minute)
	}
	first, second := up.requests()[0].Header, up.requests()[1].Header
	if first.Get("Webhook-Signature") == second.Get("Webhook-Signature") || first.Get("Webhook-Timestamp") == second.Get("Webhook-Timestamp") {
		t.Errorf("the same signature twice: %v", first)
	}
}

func TestSigningRefuses(t *testing.T) {
	t.Parallel()
	n := online(t)
	n.create(t, fmt.Sprintf(`{"id": "sign", "type": "signing", "fields": {"secret": %q}}`, whsec1))
	library, err := standardwebhooks.NewWebhook(whsec1)
	if err != nil {
		t.Fatal(err)
	}
	const body = `{"a":1}`
	now := time.Now()
	at := func(d time.Duration) map[string]string {
		signature, err := library.Sign("msg_1", now.Add(d), []byte(body))
		if err != nil {
			t.Fatal(err)
		}
		return map[string]string{"webhook-id": "msg_1", "webhook-timestamp": strconv.FormatInt(now.Add(d).Unix(), 10), "webhook-signature": signature}
	}
	with := func(name, value string) map[string]string {
		h := at(0)
		h[name] = value
		return h
	}
	tests := map[string]struct {
		body    string
		headers map[string]string
	}{
		"another body":        {body + " ", at(0)},
		"too old":             {body, at(-time.Hour)},
		"from the future":     {body, at(time.Hour)},
		"another id":          {body, with("webhook-id", "msg_2")},
		"no id":               {body, with("webhook-id", "")},
		"another time":        {body, with("webhook-timestamp", strconv.FormatInt(now.Unix()-1, 10))},
		"time is no number":   {body, with("webhook-timestamp", "now")},
		"no time":             {body, with("webhook-timestamp", "")},
		"no signature":        {body, with("webhook-signature", "")},
		"another version":     {body, with("webhook-signature", strings.Replace(at(0)["webhook-signature"], "v1,", "v2,", 1))},
		"no version":          {body, with("webhook-signature", strings.TrimPrefix(at(0)["webhook-signature"], "v1,"))},
		"many signatures":     {body, with("webhook-signature", strings.Repeat("v1,AAAA ", 1000)+at(0)["webhook-signature"])},
		"nothing":             {body, nil},
		"a part of signature": {body, with("webhook-signature", at(0)["webhook-signature"][:20])},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := n.verify(t, "sign", tt.body, tt.headers); !fault.Is(err, fault.Unauthenticated) {
				t.Errorf("got %v", err)
			}
		})
	}
	twice := at(0)
	r, raw := signed(body, twice)
	r.Header.Add("Webhook-Signature", twice["webhook-signature"])
	if _, err := n.Verify(t.Context(), "sign", "hook", "/", r, raw); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("two headers: %v", err)
	}
	if _, err := n.get(t, "sign", "https://a.example/"); err == nil {
		t.Error("a signing credential without hosts sent a request")
	} else {
		refusal(t, err, credentials.CodeHostNotAllowed)
	}
}

func TestReplayedRequests(t *testing.T) {
	t.Parallel()
	n := online(t)
	n.create(t, fmt.Sprintf(`{"id": "sign", "type": "signing", "fields": {"secret": %q}}`, whsec1))
	n.create(t, fmt.Sprintf(`{"id": "other", "type": "signing", "fields": {"secret": %q}}`, whsec1))
	library, err := standardwebhooks.NewWebhook(whsec1)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	signature, err := library.Sign("msg_1", now, []byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	headers := map[string]string{"webhook-id": "msg_1", "webhook-timestamp": strconv.FormatInt(now.Unix(), 10), "webhook-signature": signature}
	if err := n.verify(t, "sign", "{}", headers); err != nil {
		t.Fatal(err)
	}
	if err := n.verify(t, "sign", "{}", headers); fault.Message(err) != "the request was received before" || !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("replay: %v", err)
	}
	headers["webhook-signature"] += " v1,AAAA"
	if err := n.verify(t, "sign", "{}", headers); fault.Message(err) != "the request was received before" {
		t.Errorf("replay in other clothes: %v", err)
	}
	if err := n.verify(t, "other", "{}", headers); err != nil {
		t.Errorf("another credential knows nothing of it: %v", err)
	}
	r, raw := signed("{}", headers)
	n.Unverify(t.Context(), "sign", r, raw) // it could not be taken
	if err := n.verify(t, "sign", "{}", headers); err != nil {
		t.Errorf("repeated after it was given back: %v", err)
	}
}

func TestSigningBadInput(t *testing.T) {
	t.Parallel()
	n := online(t)
	tests := map[string]struct{ fields, want string }{
		"no secret":           {`{}`, "/fields/secret required: is required"},
		"no base64":           {`{"secret": "whsec_!"}`, "/fields/secret invalid_value: is not a Standard Webhooks secret: whsec_ and base64"},
		"no header":           {`{"scheme": "hmac", "secret": "s"}`, "/fields/header required: is required"},
		"no hex":              {`{"scheme": "hmac", "header": "x-s", "secret": "xyz", "secret_encoding": "hex"}`, "/fields/secret invalid_value: is not written in hex"},
		"header of transport": {`{"scheme": "hmac", "header": "Host", "secret": "s"}`, "/fields/header invalid_value: this header belongs to the connection and cannot carry a credential"},
		"unknown brace":       {`{"scheme": "hmac", "header": "x-s", "secret": "s", "template": "{url}{body}"}`, "/fields/template invalid_value: holds braces that are none of {body}, {timestamp} and {id}"},
		"no body":             {`{"scheme": "hmac", "header": "x-s", "secret": "s", "template": "v1"}`, "/fields/template invalid_value: must hold {body} once"},
		"time from nowhere":   {`{"scheme": "hmac", "header": "x-s", "secret": "s", "template": "{timestamp}.{body}"}`, "/fields/template invalid_value: signs {timestamp}: name the timestamp_header, or choose the header form pairs"},
		"time not signed":     {`{"scheme": "hmac", "header": "x-s", "secret": "s", "timestamp_header": "x-t"}`, "/fields/template invalid_value: must hold {timestamp}: a time that is not signed proves nothing"},
		"id from nowhere":     {`{"scheme": "hmac", "header": "x-s", "secret": "s", "template": "{id}{body}"}`, "/fields/template invalid_value: signs {id}: name the id_header"},
		"two times":           {`{"scheme": "hmac", "header": "x-s", "secret": "s", "template": "{timestamp}{body}", "header_form": "pairs", "timestamp_header": "x-t"}`, "/fields/header_form invalid_value: pairs hold the time themselves: leave out timestamp_header and name timestamp_key and signature_key"},
		"tolerance":           {`{"secret": "` + whsec1 + `", "tolerance": "soon"}`, "/fields/tolerance invalid_value: is not a duration such as 90m, 12h or 30d"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := n.Create(t.Context(), admin, input(t, `{"id": "x", "type": "signing", "fields": `+tt.fields+`}`))
			if got := strings.Join(problemLines(err), "\n"); got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}
