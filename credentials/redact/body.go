package redact

import (
	"io"
)

// Body returns src with every secret replaced. It reads src to its end at the first Read,
// because a match may span any two reads and JSON is searched decoded; more than limit bytes
// are the error tooLarge. A read error comes after what was read before it, redacted.
func (r *Redactor) Body(src io.ReadCloser, limit int64, tooLarge error) io.ReadCloser {
	return &body{redactor: r, src: src, limit: limit, tooLarge: tooLarge}
}

type body struct {
	redactor *Redactor
	src      io.ReadCloser
	limit    int64
	tooLarge error
	loaded   bool
	rest     []byte
	err      error // after rest
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	if !b.loaded {
		b.load()
	}
	if len(b.rest) == 0 {
		return 0, b.err
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

func (b *body) load() {
	b.loaded, b.err = true, io.EOF
	data, err := io.ReadAll(io.LimitReader(b.src, b.limit+1))
	if int64(len(data)) > b.limit {
		b.err = b.tooLarge
		return
	}
	if err != nil {
		b.err = err
	}
	b.rest = b.redactor.Bytes(data)
}

// Close implements io.Closer.
func (b *body) Close() error { return b.src.Close() }
