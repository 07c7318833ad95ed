package access

import (
	"net/http"
	"time"
)

const (
	// writeTimeout is how long a reader may take to accept a piece of an answer.
	writeTimeout = 30 * time.Second
	// writePiece is the most that is written under one deadline.
	writePiece = 64 << 10
)

// answerWriter remembers the status for the access log, and ends answers that nobody reads: the
// deadline moves on with each piece that was accepted, so a slow reader gets everything.
type answerWriter struct {
	http.ResponseWriter
	control *http.ResponseController
	timeout time.Duration
	status  int
}

func newAnswerWriter(w http.ResponseWriter, timeout time.Duration) *answerWriter {
	return &answerWriter{ResponseWriter: w, control: http.NewResponseController(w), timeout: timeout}
}

// extend gives the reader the time for one more piece.
func (w *answerWriter) extend() {
	_ = w.control.SetWriteDeadline(time.Now().Add(w.timeout)) // a recorder in tests has none
}

// WriteHeader implements http.ResponseWriter.
func (w *answerWriter) WriteHeader(status int) {
	if w.status == 0 && status >= http.StatusOK {
		w.status = status
	}
	w.extend()
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *answerWriter) Write(b []byte) (written int, err error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	for {
		w.extend()
		n, err := w.ResponseWriter.Write(b[written:min(len(b), written+writePiece)])
		if written += n; err != nil || written == len(b) {
			return written, err
		}
	}
}

// FlushError implements what http.ResponseController looks for.
func (w *answerWriter) FlushError() error {
	w.extend()
	return w.control.Flush()
}

// Unwrap gives http.ResponseController its connection.
func (w *answerWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *answerWriter) wrote() bool { return w.status != 0 }

func (w *answerWriter) code() int {
	if w.status == 0 {
		return http.StatusOK
	}
	return w.status
}
