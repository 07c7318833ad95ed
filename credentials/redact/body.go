package redact

import (
	"bytes"
	"io"

	"keyflow/internal/charset"
)

// Limit bounds a body: more than Bytes are the error TooLarge. Masked, when not nil, is called
// when a secret was replaced.
type Limit struct {
	Bytes    int64
	TooLarge error
	Masked   func()
}

// Body returns src, a body in a declared encoding, with every secret replaced. It reads src to its
// end at the first Read, because a match may span any two reads and JSON is searched decoded. A
// read error comes after what was read before it, redacted.
func (r *Redactor) Body(src io.ReadCloser, declared charset.Declared, limit Limit) io.ReadCloser {
	return &body{redactor: r, src: src, declared: declared, limit: limit}
}

type body struct {
	redactor *Redactor
	src      io.ReadCloser
	declared charset.Declared
	limit    Limit
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
	data, err := io.ReadAll(io.LimitReader(b.src, b.limit.Bytes+1))
	if int64(len(data)) > b.limit.Bytes {
		b.err = b.limit.TooLarge
		return
	}
	if err != nil {
		b.err = err
	}
	b.rest = b.redactor.Encoded(data, b.declared)
	if b.limit.Masked != nil && !bytes.Equal(b.rest, data) {
		b.limit.Masked()
	}
}

// Close implements io.Closer.
func (b *body) Close() error { return b.src.Close() }
