// Package ui has the admin page: the built files of its TypeScript source, embedded.
//
// The source is in src; `npm run build` writes dist, which is committed. The package owns
// files and the two placeholders in index.html that the server fills in per response. It
// must not know HTTP, sessions or the API; package web serves what is here.
package ui

import (
	"bytes"
	"embed"
	"html"
	"io/fs"
)

//go:embed all:dist
var dist embed.FS

// The placeholders of index.html.
const (
	noncePlaceholder = "__CSP_NONCE__"
	basePlaceholder  = "__BASE_PATH__"
)

// Files returns the built files: index.html, app.js with what it needs at once (base.js,
// vendor.js, runtime.js), later.js with the pages behind the lists, app.css, icon.svg and
// oauth-callback.js (loaded by the page that ends an OAuth connect). index.html is a
// template; serve [Index] in its place.
func Files() fs.FS {
	files, err := fs.Sub(dist, "dist")
	if err != nil {
		panic(err) // "dist" is a valid path: cannot happen
	}
	return files
}

// Index returns index.html for one response. The nonce is the one of that response's
// Content-Security-Policy (style-src 'nonce-…'); basePath is the path under which the page
// is reached, without a slash at its end: "" or for example "/keyflow".
func Index(nonce, basePath string) ([]byte, error) {
	page, err := fs.ReadFile(dist, "dist/index.html")
	if err != nil {
		return nil, err
	}
	page = bytes.ReplaceAll(page, []byte(noncePlaceholder), []byte(html.EscapeString(nonce)))
	return bytes.ReplaceAll(page, []byte(basePlaceholder), []byte(html.EscapeString(basePath))), nil
}
