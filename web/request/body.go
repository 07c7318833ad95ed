package request

import (
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"keyflow/credentials/transfer"
	"keyflow/internal/fault"
)

const (
	// maxBody bounds every request body, whatever the route's own limit is.
	maxBody = transfer.MaxBytes + 64<<10
	// bodyTimeout is how long a whole body may take to arrive.
	bodyTimeout = 60 * time.Second
)

// LimitBody bounds size and duration of the body. The deadline is removed at the end
// of the body: otherwise it would end the context of a handler that waits longer.
func LimitBody(w http.ResponseWriter, r *http.Request, rec *Record) {
	if r.Body == nil || r.Body == http.NoBody {
		return
	}
	control := http.NewResponseController(w)
	if err := control.SetReadDeadline(time.Now().Add(bodyTimeout)); err != nil {
		control = nil // not a connection (tests with a recorder)
	}
	r.Body = &timedBody{ReadCloser: http.MaxBytesReader(w, r.Body, maxBody), control: control, rec: rec}
}

type timedBody struct {
	io.ReadCloser
	control *http.ResponseController
	rec     *Record
}

// Read implements io.Reader. An incomplete body ends without an error, because huma would answer
// 500 to one. The record has the error, and operations check it first.
func (b *timedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && b.control != nil {
		_ = b.control.SetReadDeadline(time.Time{})
	}
	if err != nil && err != io.EOF && !isTimeout(err) {
		b.rec.Broken, err = fault.New(fault.Malformed, "the body is incomplete or wrongly encoded").Because(err), io.EOF
	}
	return n, err
}

func isTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}
