package ui

import (
	"bytes"
	"io/fs"
	"regexp"
	"testing"
)

func TestIndexFillsPlaceholders(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		nonce, base string
		want        []string
	}{
		"at the root":      {nonce: "n0nce", base: "", want: []string{`content="n0nce"`, `src="/app.js"`, `href="/app.css"`}},
		"under a sub-path": {nonce: "n0nce", base: "/keyflow", want: []string{`src="/keyflow/app.js"`, `href="/keyflow/app.css"`}},
		"hostile values":   {nonce: `"><script>`, base: `"><script>`, want: []string{`content="&#34;&gt;&lt;script&gt;"`}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			page, err := Index(tt.nonce, tt.base)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range tt.want {
				if !bytes.Contains(page, []byte(want)) {
					t.Errorf("index.html lacks %s:\n%s", want, page)
				}
			}
			if bytes.Contains(page, []byte("__")) {
				t.Errorf("a placeholder is left:\n%s", page)
			}
		})
	}
}

// Every file that index.html refers to is embedded, nothing is inline, and no source map
// or hashed name slipped in.
func TestFilesAreComplete(t *testing.T) {
	t.Parallel()
	page, err := fs.ReadFile(Files(), "index.html")
	if err != nil {
		t.Fatal(err)
	}
	for _, ref := range regexp.MustCompile(`__BASE_PATH__/([^"]+)"`).FindAllSubmatch(page, -1) {
		if _, err := fs.Stat(Files(), string(ref[1])); err != nil {
			t.Errorf("index.html refers to %s: %v", ref[1], err)
		}
	}
	if inline := regexp.MustCompile(`<script(?: [^>]*)?>[^<]|<style|\sstyle=|\son[a-z]+=`).Find(page); inline != nil {
		t.Errorf("index.html holds inline code or style, which the policy forbids: %s", inline)
	}

	want := map[string]bool{
		"app.css": true, "app.js": true, "base.js": true, "icon.svg": true, "index.html": true,
		"later.js": true, "oauth-callback.js": true, "runtime.js": true, "vendor.js": true,
	}
	entries, err := fs.ReadDir(Files(), ".")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if !want[entry.Name()] {
			t.Errorf("unexpected file in dist: %s", entry.Name())
		}
		delete(want, entry.Name())
	}
	for name := range want {
		t.Errorf("missing in dist: %s", name)
	}
}
