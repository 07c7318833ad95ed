// Package page serves the admin page's files (package ui) and the few pages beside it.
//
// It must not know the API or sign-in.
package page

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"keyflow/web/ui"
)

// asset is one embedded file of the admin page. Names are stable, so browsers revalidate
// each time; the ETag is a hash of the content.
type asset struct {
	content     []byte
	contentType string
	etag        string
	gzipped     func() []byte // made at the first request for it
}

// Files serves the admin page: its files, and index.html for each of its routes.
type Files struct {
	assets map[string]*asset
	base   string // the public URL's path: "" or "/keyflow"
	index  func(nonce, base string) ([]byte, error)
}

// New reads the files; base is the path of the public URL, without a slash at its end.
func New(base string) (*Files, error) {
	p := &Files{assets: make(map[string]*asset), base: base, index: ui.Index}
	files := ui.Files()
	err := fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || name == "index.html" {
			return err
		}
		content, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		p.assets["/"+name] = newAsset(name, content)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the admin page's files: %w", err)
	}
	return p, nil
}

func newAsset(name string, content []byte) *asset {
	hash := sha256.Sum256(content)
	contentType := mime.TypeByExtension(path.Ext(name))
	if path.Ext(name) == ".js" { // the operating system's table may say otherwise
		contentType = "text/javascript; charset=utf-8"
	}
	return &asset{
		content: content, contentType: contentType, etag: hex.EncodeToString(hash[:8]),
		gzipped: sync.OnceValue(func() []byte { return compress(content) }),
	}
}

func compress(content []byte) []byte {
	var buf bytes.Buffer
	zw, err := gzip.NewWriterLevel(&buf, gzip.BestCompression)
	if err == nil {
		_, err = zw.Write(content)
	}
	if err != nil || zw.Close() != nil {
		return nil
	}
	return buf.Bytes()
}

// Serve answers GET and HEAD for the page and reports whether the path is one of its own: a
// file, or a path below one of its sections.
func (p *Files) Serve(w http.ResponseWriter, r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	if a, ok := p.assets[r.URL.Path]; ok {
		a.serve(w, r)
		return true
	}
	section, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if path.Ext(r.URL.Path) != "" || !slices.Contains(Sections(), section) {
		return false
	}
	return p.serveIndex(w, r)
}

// Sections are the first segments of the page's own routes (ui/src/router.tsx). Everything else is
// a 404, so that a wrong probe or a mistyped API path never succeeds.
func Sections() []string {
	return []string{"", "setup", "signin", "credentials", "attention", "import", "keys", "workflows", "runs", "triggers"}
}

func (p *Files) serveIndex(w http.ResponseWriter, r *http.Request) bool {
	nonce := rand.Text()
	page, err := p.index(nonce, p.base)
	if err != nil {
		return false
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-"+nonce+
		"'; img-src 'self' data:; font-src 'self'; connect-src 'self'; worker-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(page))
	return true
}

func (a *asset) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", a.contentType)
	h.Set("Cache-Control", "no-cache")
	h.Set("Vary", "Accept-Encoding")
	content, tag := a.content, a.etag
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		if zipped := a.gzipped(); zipped != nil {
			h.Set("Content-Encoding", "gzip")
			content, tag = zipped, a.etag+"-gzip"
		}
	}
	h.Set("ETag", `"`+tag+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
}
