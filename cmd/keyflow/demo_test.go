package main

import (
	"regexp"
	"strings"
	"testing"
)

func TestDemoShowsEachTypeAndOneUpdate(t *testing.T) {
	t.Parallel()
	r := keyflow(t, nil, "demo", "--once", "--listen", "127.0.0.1:0")
	if r.code != exitOK {
		t.Fatalf("exit code %d\n%s", r.code, r.stderr)
	}
	var got []string
	for line := range strings.Lines(r.stdout) {
		got = append(got, strings.Join(strings.Fields(regexp.MustCompile(`127\.0\.0\.1:\d+`).ReplaceAllString(line, "ADDR")), " "))
	}
	for _, want := range []string{
		`demo-1-open succeeded none 200 "open for everybody"`,
		`demo-2-erp succeeded Basic 200 "2 orders, total 325"`,
		`demo-3-cloud succeeded API key 200 "web-1, web-2, db-1"`,
		`demo-4-hr succeeded token 200, OAuth 2.0 200 "Kim, Lee, Park"`,
		`demo-5-marketo succeeded token 200, 602 inside HTTP 200, token 200, OAuth 2.0 200 "lead@example.com"`,
		`demo-2-erp failed Basic 401 credential_refused: ADDR refused the credential "demo-erp" (status 401); enter a new secret or check its rights there`,
	} {
		found := false
		for _, line := range got {
			found = found || line == want
		}
		if !found {
			t.Errorf("no line %q in\n%s", want, r.stdout)
		}
	}
	if last := got[len(got)-1]; !strings.HasPrefix(last, "demo-2-erp succeeded Basic 200") {
		t.Errorf("the run after the update: %q", last)
	}
}
