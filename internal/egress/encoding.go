package egress

import (
	"bufio"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
)

// acceptEncoding names the content encodings that are decoded (RFC 9110 section 8.4).
const acceptEncoding = "gzip, deflate, br, zstd"

// maxWindow bounds the memory of one decoder: what RFC 9659 allows for zstd.
const maxWindow = 8 << 20

// askForEncodings sets which encodings an answer may have. A part of an encoded body could not be
// decoded, so none is asked for with Range.
func askForEncodings(req *http.Request) {
	req.Header = req.Header.Clone()
	if req.Method == http.MethodHead || req.Header.Get("Range") != "" {
		req.Header.Del("Accept-Encoding")
		return
	}
	req.Header.Set("Accept-Encoding", acceptEncoding)
}

// decodeContent makes res.Body the decoded body, or says why that is not possible.
func decodeContent(req *http.Request, res *http.Response) *Error {
	name := strings.ToLower(strings.TrimSpace(res.Header.Get("Content-Encoding")))
	if name == "" || name == "identity" || req.Method == http.MethodHead || res.ContentLength == 0 {
		return nil
	}
	open := decoderOf(name)
	if open == nil || len(res.Header.Values("Content-Encoding")) > 1 || res.StatusCode == http.StatusPartialContent {
		return &Error{Phase: "body", Host: req.URL.Host, Code: CodeNetwork,
			Message: "answered with a content encoding that was not asked for"}
	}
	res.Body = &decodedBody{raw: res.Body, open: open, name: name, host: req.URL.Host}
	res.Header.Del("Content-Encoding")
	res.Header.Del("Content-Length")
	res.ContentLength, res.Uncompressed = -1, true
	return nil
}

// decoderOf returns what opens the decoder of an encoding, nil for an unknown one.
func decoderOf(name string) func(*bufio.Reader) (io.Reader, error) {
	switch name {
	case "gzip", "x-gzip":
		return func(r *bufio.Reader) (io.Reader, error) { return gzip.NewReader(r) }
	case "deflate":
		return newInflater
	case "br":
		return func(r *bufio.Reader) (io.Reader, error) { return brotli.NewReader(r), nil }
	case "zstd":
		return func(r *bufio.Reader) (io.Reader, error) {
			return zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		}
	}
	return nil
}

// newInflater reads deflate in the zlib format, as RFC 9110 says, and without it, as some servers
// send it.
func newInflater(r *bufio.Reader) (io.Reader, error) {
	head, err := r.Peek(2)
	if err == nil && head[0]&0x0f == 8 && (uint(head[0])<<8|uint(head[1]))%31 == 0 {
		return zlib.NewReader(r)
	}
	return flate.NewReader(r), nil
}

// decodedBody decodes a body while it is read. Its decoder is opened at the first Read.
type decodedBody struct {
	raw  io.ReadCloser
	open func(*bufio.Reader) (io.Reader, error)
	name string
	host string

	in      *bufio.Reader
	decoder io.Reader
	err     error // of all further reads
}

// Read implements io.Reader; errors other than io.EOF are *Error.
func (b *decodedBody) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	if b.decoder == nil {
		if b.err = b.begin(); b.err != nil {
			return 0, b.err
		}
	}
	n, err := b.decoder.Read(p)
	if err != nil {
		b.err = b.failed(err)
	}
	return n, b.err
}

func (b *decodedBody) begin() error {
	b.in = bufio.NewReader(b.raw)
	if _, err := b.in.Peek(1); err != nil { // an empty body is not encoded
		return b.failed(err)
	}
	decoder, err := b.open(b.in)
	if err != nil {
		return b.failed(err)
	}
	b.decoder = decoder
	return nil
}

// failed is the error of a read: that of the connection, or of damaged data.
func (b *decodedBody) failed(err error) error {
	if err == io.EOF { //nolint:errorlint // io.Reader promises the bare value
		_, _ = b.in.Peek(1) // the end of the raw body, after which its connection is used again
		return io.EOF
	}
	if e, ok := AsError(err); ok {
		return e
	}
	message := "answered with damaged " + b.name + " data"
	if errors.Is(err, zstd.ErrWindowSizeExceeded) || errors.Is(err, zstd.ErrDecoderSizeExceeded) {
		message = "answered with zstd data that needs more than 8 MiB of memory to decode"
	}
	return &Error{Phase: "body", Host: b.host, Code: CodeNetwork, Err: err, Message: message}
}

// Close implements io.Closer.
func (b *decodedBody) Close() error {
	if d, ok := b.decoder.(*zstd.Decoder); ok {
		d.Close()
	}
	return b.raw.Close()
}
