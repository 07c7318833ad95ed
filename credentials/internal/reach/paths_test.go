package reach

import (
	"strings"
	"testing"
)

func TestAllowedWorkflow(t *testing.T) {
	t.Parallel()
	tests := []struct {
		pattern, folder, workflow string
		want                      bool
	}{
		{"/**", "/", "a", true},
		{"/**", "/x/y/z", "a", true},
		{"/hr/**", "/hr", "a", true},
		{"/hr/**", "/hr/korea", "a", true},
		{"/hr/**", "/", "hr", false},
		{"/hr/**", "/hrx", "a", false},
		{"/hr/**", "/x/hr", "a", false},
		{"/marketing/sync-*", "/marketing", "sync-leads", true},
		{"/marketing/sync-*", "/marketing", "sync-", true},
		{"/marketing/sync-*", "/marketing", "async-leads", false},
		{"/marketing/sync-*", "/marketing/sub", "sync-leads", false},
		{"/marketing/sync-*", "/marketing/sync-x", "a", false},
		{"/*", "/", "a", true},
		{"/*", "/x", "a", false},
		{"/*/a", "/x", "a", true},
		{"/a/**/sync", "/a", "sync", true},
		{"/a/**/sync", "/a/b/c", "sync", true},
		{"/a/**/sync", "/a/b/c", "other", false},
		{"/exact/one", "/exact", "one", true},
		{"/exact/one", "/exact", "one-more", false},
		{"/hr", "/hr", "a", false},
		{"hr/**", "/hr", "a", false},
		{"", "/", "a", false},
		{"/**", "/", "", false},
		{"/**", "", "a", false},
		{"/**", "/", "a/b", false},
	}
	for _, tt := range tests {
		t.Run(strings.Join([]string{tt.pattern, tt.folder, tt.workflow}, " "), func(t *testing.T) {
			t.Parallel()
			if got := AllowWorkflow([]string{"/nobody/x", tt.pattern}, tt.folder, tt.workflow); got != tt.want {
				t.Errorf("AllowWorkflow = %v, want %v", got, tt.want)
			}
		})
	}
	if AllowWorkflow(nil, "/", "a") {
		t.Error("no pattern must allow nothing")
	}
	if !AllowWorkflow(OwnFolder("/"), "/x", "a") || !AllowWorkflow(OwnFolder("/x"), "/x", "a") || AllowWorkflow(OwnFolder("/x"), "/", "x") {
		t.Error("the default must be the own folder and below")
	}
}

func TestPathProblems(t *testing.T) {
	t.Parallel()
	folders := map[string]string{
		"":           "is not a folder: write / or a path such as /partners/acme",
		"partners":   "is not a folder: write / or a path such as /partners/acme",
		"/partners/": "is not a folder: segments are made of a-z, 0-9, - and _, for example /partners/acme",
		"/a//b":      "is not a folder: segments are made of a-z, 0-9, - and _, for example /partners/acme",
		"/../b":      "is not a folder: segments are made of a-z, 0-9, - and _, for example /partners/acme",
		"/Upper":     "is not a folder: segments are made of a-z, 0-9, - and _, for example /partners/acme",
	}
	for folder, want := range folders {
		if err := CheckFolder(folder); err == nil || err.Error() != want {
			t.Errorf("CheckFolder(%q) = %v, want %q", folder, err, want)
		}
	}
	patterns := map[string]string{
		"hr/**":       "must begin with a slash, for example /hr/** or /marketing/sync-*",
		"/hr**":       "** must be a whole segment, for example /hr/**",
		"/hr/":        "segments are made of a-z, 0-9, -, _ and *, for example /hr/** or /marketing/sync-*",
		"/[a]":        "segments are made of a-z, 0-9, -, _ and *, for example /hr/** or /marketing/sync-*",
		"/**/**/**/x": "can hold ** at most twice",
	}
	for pattern, want := range patterns {
		if err := CheckWorkflows(pattern); err == nil || err.Error() != want {
			t.Errorf("CheckWorkflows(%q) = %v, want %q", pattern, err, want)
		}
	}
	for _, good := range []string{"/", "/a", "/partners/acme-2/x_y"} {
		if err := CheckFolder(good); err != nil {
			t.Errorf("CheckFolder(%q) = %v", good, err)
		}
	}
}
