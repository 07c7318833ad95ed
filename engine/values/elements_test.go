package values

import (
	"bytes"
	"encoding/json"
	"testing"
)

// Outputs that are too large together are let go once: what comes after costs nothing.
func TestElementsAreLetGoOnce(t *testing.T) {
	t.Parallel()
	e, wrong := NewElements(make([]any, 66))
	if wrong != nil {
		t.Fatal(wrong)
	}
	mebibyte := json.RawMessage(bytes.Repeat([]byte("1"), 1<<20))
	for i := range 64 {
		e.put(i, mebibyte, nil)
	}
	if err := e.whole(); err != nil || e.Outputs[63] == nil {
		t.Fatalf("64 MiB are kept: %v", err)
	}
	e.put(64, mebibyte, nil)
	if err := e.whole(); err == nil || e.Outputs[0] != nil || e.Outputs[64] != nil {
		t.Fatalf("65 MiB are let go: %v", err)
	}
	e.Outputs[0] = json.RawMessage("1") // a second clear would take it
	e.put(65, mebibyte, nil)
	if e.Outputs[0] == nil || e.Outputs[65] != nil || e.kept != 66<<20 {
		t.Errorf("after that: %d bytes are counted, the last is kept: %v", e.kept, e.Outputs[65] != nil)
	}
}
