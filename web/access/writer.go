package access

import (
	"net/http"
	"time"
)

const (
	// writeTimeout is how long a client may take to read a piece of an answer.
	writeTimeout = 30 * time.Second
	// writePiece is the most that is written under one deadline.
	writePiece = 64 << 10
)

// answerWriter remembers the status for the access log, and ends answers whose client stops
// reading. Each accepted piece extends the deadline, so a slow client gets the whole answer.
type answerWriter struct {
	http.ResponseWriter
	control *http.ResponseController
	timeout time.Duration
	status  int
}

func newAnswerWriter(w http.ResponseWriter, timeout time.Duration) *answerWriter {
	return &answerWriter{ResponseWriter: w, control: http.NewResponseController(w), timeout: timeout}
}

// extend sets the deadline for the next piece.
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

// FlushError is for http.ResponseController.
func (w *answerWriter) FlushError() error {
	w.extend()
	return w.control.Flush()
}

// Unwrap is for http.ResponseController.
func (w *answerWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *answerWriter) wrote() bool { return w.status != 0 }

func (w *answerWriter) code() int {
	if w.status == 0 {
		return http.StatusOK
	}
	return w.status
}
