package web

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"
)

// A client that stops reading holds neither a handler nor a connection for ever.
func TestClientsThatStopReadingAreDropped(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 1)
	endless := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		piece := make([]byte, 1<<20)
		for {
			if _, err := w.Write(piece); err != nil {
				ended <- err
				return
			}
		}
	})
	s := newSetup(t, func(d *Deps) { d.Hooks, d.WriteTimeout = endless, 50*time.Millisecond })
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET /hooks/x HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the answer ended with %v", err)
	}
}

// The deadline moves with each piece, at a flush, and for what is sent after the handler; the next
// request on the connection is not hurt by the deadline of the one before.
func TestWriteDeadlineMovesWithProgress(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		write func(w *answerWriter)
		moves int
	}{
		"a header":      {func(w *answerWriter) { w.WriteHeader(204) }, 1},
		"a large write": {func(w *answerWriter) { _, _ = w.Write(make([]byte, 3*writePiece+1)) }, 4},
		"nothing":       {func(w *answerWriter) { _, _ = w.Write(nil) }, 1},
		"a flush":       {func(w *answerWriter) { _ = http.NewResponseController(w).Flush() }, 1},
	} {
		recorder := httptest.NewRecorder()
		d := &writeDeadlines{ResponseRecorder: recorder}
		w := newAnswerWriter(d, time.Minute)
		tt.write(w)
		if len(d.set) != tt.moves || time.Until(d.set[len(d.set)-1]) > time.Minute || time.Until(d.set[len(d.set)-1]) < 30*time.Second {
			t.Errorf("%s: deadlines %v, want %d", name, d.set, tt.moves)
		}
	}
}

type writeDeadlines struct {
	*httptest.ResponseRecorder
	set []time.Time
}

func (d *writeDeadlines) SetWriteDeadline(t time.Time) error {
	d.set = append(d.set, t)
	return nil
}
