package webhook

import (
	"bytes"
	"io"
	"net/http"

	"keyflow/triggers/gate"
)

// maxBody is the size of the largest request body, in bytes.
const maxBody = 5 << 20

func readBody(w http.ResponseWriter, r *http.Request) ([]byte, bool) {
	if e := r.Header.Get("Content-Encoding"); e != "" && e != "identity" {
		refuse(w, http.StatusUnsupportedMediaType, "send the body without Content-Encoding")
		return nil, false
	}
	if r.ContentLength == 0 {
		return nil, true
	}
	// Content-Length may lie: memory is allocated as the bytes arrive.
	body := make([]byte, 0, min(max(r.ContentLength, 512), gate.SmallBody)+bytes.MinRead)
	read := bytes.NewBuffer(body)
	_, err := read.ReadFrom(io.LimitReader(r.Body, maxBody+1))
	switch {
	case err != nil:
		refuse(w, http.StatusBadRequest, "the body could not be read")
		return nil, false
	case read.Len() > maxBody:
		// A caller that is cut off while it sends does not read the answer.
		_, _ = io.CopyN(io.Discard, r.Body, maxBody)
		refuse(w, http.StatusRequestEntityTooLarge, "the body is larger than 5 MiB")
		return nil, false
	default:
		return read.Bytes(), true
	}
}
