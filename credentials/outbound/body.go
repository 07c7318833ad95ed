package outbound

import "io"

func closeBody(body io.Closer) {
	if body != nil {
		_ = body.Close() // nothing is left to be done about it
	}
}

// granted is a body whose end gives back what the limits granted.
type granted struct {
	io.ReadCloser
	release func()
}

// Read implements io.Reader.
func (g *granted) Read(p []byte) (int, error) {
	n, err := g.ReadCloser.Read(p)
	if err != nil {
		g.release()
	}
	return n, err
}

// Close implements io.Closer.
func (g *granted) Close() error {
	g.release()
	return g.ReadCloser.Close()
}
