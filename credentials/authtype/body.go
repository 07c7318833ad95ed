package authtype

import (
	"bytes"
	"errors"
	"io"
	"net/http"
)

// readBody reads the body of req and makes it readable again.
func readBody(req *http.Request) ([]byte, error) {
	if req.Body == nil || req.Body == http.NoBody {
		return nil, nil
	}
	body, err := io.ReadAll(io.LimitReader(req.Body, maxSigned+1))
	_ = req.Body.Close() // it has been read
	switch {
	case err != nil:
		return nil, err
	case len(body) > maxSigned:
		return nil, errBodyTooLarge
	}
	setBody(req, body)
	return body, nil
}

func setBody(req *http.Request, body []byte) {
	req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	req.Body, _ = req.GetBody() // never fails
	req.ContentLength = int64(len(body))
	req.Header.Del("Content-Length")
}

// maxSigned bounds a request body that an authentication reads: to sign it or to add to it.
const maxSigned = 10 << 20

var errBodyTooLarge = errors.New("the body is larger than 10 MiB")
