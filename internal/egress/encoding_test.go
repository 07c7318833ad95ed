package egress_test

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"

	"keyflow/internal/egress"
)

// encoders write each content encoding that is decoded; deflate in both of its forms.
func encoders(t *testing.T) map[string]func(io.Writer) io.WriteCloser {
	t.Helper()
	return map[string]func(io.Writer) io.WriteCloser{
		"gzip":        func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) },
		"GZIP":        func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) },
		"x-gzip":      func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) },
		"deflate":     func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) },
		"deflate raw": func(w io.Writer) io.WriteCloser { z, _ := flate.NewWriter(w, 6); return z },
		"br":          func(w io.Writer) io.WriteCloser { return brotli.NewWriter(w) },
		"zstd":        func(w io.Writer) io.WriteCloser { z, _ := zstd.NewWriter(w); return z },
	}
}

func encode(t *testing.T, open func(io.Writer) io.WriteCloser, text string) []byte {
	t.Helper()
	var buf bytes.Buffer
	z := open(&buf)
	if _, err := io.WriteString(z, text); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func TestContentEncodings(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("안녕 ", 100)
	for name, open := range encoders(t) {
		encoding, _, _ := strings.Cut(name, " ")
		whole := encode(t, open, text)
		bodies := map[string]struct {
			body          []byte
			code, message string
		}{
			"whole":    {body: whole},
			"cut":      {whole[:len(whole)/2], egress.CodeNetwork, "answered with damaged " + strings.ToLower(encoding) + " data"},
			"not it":   {[]byte("{\"plain\": true, \"" + text), egress.CodeNetwork, "answered with damaged " + strings.ToLower(encoding) + " data"},
			"too much": {encode(t, open, strings.Repeat("x", 1<<20)), egress.CodeTooLarge, "the answer is larger than 1000 bytes (max_bytes)"},
		}
		for kind, tt := range bodies {
			t.Run(name+" "+kind, func(t *testing.T) {
				t.Parallel()
				upstream := serve(t, func(w http.ResponseWriter, r *http.Request) {
					if got := r.Header.Get("Accept-Encoding"); got != "gzip, deflate, br, zstd" {
						t.Errorf("Accept-Encoding is %q", got)
					}
					w.Header().Set("Content-Encoding", encoding)
					_, _ = w.Write(tt.body)
				})
				body, err := get(t, egress.NewClient(transport(t, "private"), egress.ClientOptions{MaxBytes: 1000}), upstream.URL)
				if tt.code != "" {
					if e, ok := egress.AsError(err); !ok || e.Code != tt.code || e.Message != tt.message {
						t.Errorf("got %d bytes, %v, want %s: %s", len(body), err, tt.code, tt.message)
					}
					return
				}
				if err != nil || body != text {
					t.Errorf("got %q, %v", body, err)
				}
			})
		}
	}
}

// TestContentEncodingWithoutContent: there is nothing to decode.
func TestContentEncodingWithoutContent(t *testing.T) {
	t.Parallel()
	upstream := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "br")
		if r.URL.Path == "/chunked" {
			w.(http.Flusher).Flush()
		}
		if r.URL.Path == "/none" {
			w.WriteHeader(http.StatusNoContent)
		}
	})
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		for _, path := range []string{"/", "/chunked", "/none"} {
			req, err := http.NewRequestWithContext(t.Context(), method, upstream.URL+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			res, err := egress.NewClient(transport(t, "private"), egress.ClientOptions{}).Do(req)
			if err != nil {
				t.Fatalf("%s %s: %v", method, path, err)
			}
			body, err := io.ReadAll(res.Body)
			res.Body.Close()
			if err != nil || len(body) != 0 {
				t.Errorf("%s %s: %q, %v", method, path, body, err)
			}
		}
	}
}

// TestADecodedAnswerKeepsItsConnection reads decoded answers and expects one connection.
func TestADecodedAnswerKeepsItsConnection(t *testing.T) {
	t.Parallel()
	for name, open := range encoders(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			encoding, _, _ := strings.Cut(name, " ")
			addresses := make(chan string, 3)
			upstream := serve(t, func(w http.ResponseWriter, r *http.Request) {
				addresses <- r.RemoteAddr
				w.Header().Set("Content-Encoding", encoding)
				w.(http.Flusher).Flush() // the end of the body comes by itself
				_, _ = w.Write(encode(t, open, "hello"))
			})
			client := egress.NewClient(transport(t, "private"), egress.ClientOptions{})
			for range 3 {
				if body, err := get(t, client, upstream.URL); err != nil || body != "hello" {
					t.Fatalf("%q, %v", body, err)
				}
			}
			if a, b, c := <-addresses, <-addresses, <-addresses; a != b || b != c {
				t.Error("a connection was not used again")
			}
		})
	}
}

// TestRangesAreNotEncoded: a part of an encoded body cannot be decoded.
func TestRangesAreNotEncoded(t *testing.T) {
	t.Parallel()
	upstream := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Accept-Encoding"); got != "" {
			t.Errorf("Accept-Encoding is %q", got)
		}
		w.WriteHeader(http.StatusPartialContent)
		_, _ = io.WriteString(w, "art")
	})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, upstream.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Range", "bytes=1-3")
	req.Header.Set("Accept-Encoding", "br")
	res, err := egress.NewClient(transport(t, "private"), egress.ClientOptions{}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, err := io.ReadAll(res.Body); err != nil || string(body) != "art" {
		t.Errorf("%q, %v", body, err)
	}
}
