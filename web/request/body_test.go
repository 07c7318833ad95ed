package request

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestBodyDeadlineIsTakenBackAtItsEnd(t *testing.T) {
	t.Parallel()
	w := &deadlines{}
	r, err := http.NewRequest(http.MethodPost, "/", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	LimitBody(w, r, &Record{})
	if len(w.set) != 1 || time.Until(w.set[0]) > bodyTimeout || time.Until(w.set[0]) < bodyTimeout/2 {
		t.Fatalf("deadlines before reading: %v", w.set)
	}
	if _, err := io.ReadAll(r.Body); err != nil {
		t.Fatal(err)
	}
	if last := w.set[len(w.set)-1]; !last.IsZero() {
		t.Errorf("deadline after the body: %v, want none", last)
	}
}

type deadlines struct {
	http.ResponseWriter
	set []time.Time
}

func (d *deadlines) SetReadDeadline(t time.Time) error {
	d.set = append(d.set, t)
	return nil
}
