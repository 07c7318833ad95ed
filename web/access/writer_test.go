package access

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

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
