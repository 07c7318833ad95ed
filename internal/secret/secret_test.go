package secret_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"keyflow/internal/secret"
)

// Holders in the shapes that leak with the usual redacting type.
type holder struct {
	hidden secret.Text
	Open   secret.Text
	nested struct{ deep []secret.Text }
	ptr    *secret.Text
}

func TestTextNeverPrints(t *testing.T) {
	t.Parallel()
	const canary = "canary-4f9d2b71c0"
	s := secret.New(canary)
	h := holder{hidden: s, Open: s, ptr: &s}
	h.nested.deep = []secret.Text{s}
	for _, v := range []any{s, &s, h, &h, []secret.Text{s}, map[string]secret.Text{"k": s}, map[secret.Text]int{s: 1}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T", "%p", "%U"} {
			if got := fmt.Sprintf(verb, v); strings.Contains(got, canary) || strings.Contains(got, fmt.Sprintf("%x", canary)) {
				t.Errorf("Sprintf(%q, %T) shows the secret: %s", verb, v, got)
			}
		}
	}
	var out bytes.Buffer
	for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(handler).Info("m", "text", s, "holder", h, "pointer", &h)
	}
	enc, err := json.Marshal(map[string]any{"s": s, "h": h})
	if err != nil {
		t.Fatal(err)
	}
	out.Write(enc)
	if strings.Contains(out.String(), canary) {
		t.Errorf("log or JSON shows the secret: %s", out.String())
	}
	if s.Reveal() != canary || !s.IsSet() || (secret.Text{}).IsSet() {
		t.Error("Reveal or IsSet is wrong")
	}
}
