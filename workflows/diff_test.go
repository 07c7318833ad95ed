package workflows_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyflow/workflows"
)

func TestDiff(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		before, after string
		want          []string
	}{
		"the same": {`{"id": "a", "nodes": {"x": 1}}`, `{"nodes":{"x":1},"id":"a"}`, nil},
		"a value": {
			`{"nodes": {"pull": {"with": {"url": "https://old"}}}}`, `{"nodes": {"pull": {"with": {"url": "https://new"}}}}`,
			[]string{`~ /nodes/pull/with/url: "https://old" -> "https://new"`},
		},
		"a node more, one less": {
			`{"nodes": {"a": {"type": "x"}}}`, `{"nodes": {"b/c": {"type": "x"}}}`,
			[]string{`- /nodes/a: {"type":"x"}`, `+ /nodes/b~1c: {"type":"x"}`},
		},
		"lists":           {`{"needs": ["a", "b"]}`, `{"needs": ["a", "c", "d"]}`, []string{`~ /needs/1: "b" -> "c"`, `+ /needs/2: "d"`}},
		"a shorter list":  {`{"needs": ["a", "b"]}`, `{"needs": ["a"]}`, []string{`- /needs/1: "b"`}},
		"another type":    {`{"output": [1]}`, `{"output": {"a": 1}}`, []string{`~ /output: [1] -> {"a":1}`}},
		"null is a value": {`{"a": null}`, `{}`, []string{`- /a: null`}},
		"large numbers":   {`{"n": 12345678901234567890}`, `{"n": 12345678901234567891}`, []string{"~ /n: 12345678901234567890 -> 12345678901234567891"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			changes, err := workflows.Diff([]byte(test.before), []byte(test.after))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, c := range changes {
				got = append(got, c.String())
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	if _, err := workflows.Diff([]byte("{"), []byte("{}")); err == nil {
		t.Error("broken JSON has a diff")
	}
}
