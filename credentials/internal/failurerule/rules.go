// Package failurerule compiles the failure rules of a credential and finds the one that a
// response matches. It must not know how a request is sent or what is done about a refusal.
package failurerule

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"keyflow/credentials"
	"keyflow/internal/expression"
)

// MaxBody is how much of an answer a failure rule reads.
const MaxBody = 1 << 20

// Set is the failure rules of one revision of a credential, compiled.
type Set struct {
	rules []compiledRule
	log   *slog.Logger
}

type compiledRule struct {
	credentials.FailureRule
	body *expression.Expression // nil: no condition on the body
}

// Verdict is the rule that an answer matched, as much of it as the resolver acts on.
type Verdict struct {
	Action      string
	until       string
	Repeatable  bool // the upstream did not act on the request
	Description string
}

// Compile prepares the rules of c; renews says that its type has tokens. A rule that no longer
// compiles is left out and logged: it was checked when it was saved.
func Compile(c *credentials.Credential, renews bool, log *slog.Logger) Set {
	set := Set{log: log}
	for _, rule := range c.FailureRules {
		compiled := compiledRule{FailureRule: rule}
		if rule.Body != "" {
			body, err := expression.Compile(rule.Body, Scope())
			if err != nil {
				log.Error("failure rule left out", "credential", c.ID, "error", err)
				continue
			}
			compiled.body = body
		}
		set.rules = append(set.rules, compiled)
	}
	if !set.mentions(http.StatusUnauthorized) && c.Type != credentials.TypeNoAuth { // no secret, nothing to refuse
		action := credentials.RuleRefuse
		if renews {
			action = credentials.RuleRenew
		}
		set.rules = append(set.rules, compiledRule{
			FailureRule: credentials.FailureRule{Status: []int{http.StatusUnauthorized}, Action: action},
		})
	}
	return set
}

func (s Set) mentions(status int) bool {
	return slices.ContainsFunc(s.rules, func(r compiledRule) bool { return slices.Contains(r.Status, status) })
}

// Match returns what the first rule that matches says; nil when none does. It reads the body
// only when a rule needs it and leaves it readable from its beginning.
func (s Set) Match(ctx context.Context, res *http.Response) *Verdict {
	var response map[string]any
	for _, rule := range s.rules {
		if !rule.matchesHead(res) {
			continue
		}
		if rule.body != nil {
			if response == nil {
				response = credentials.ResponseData(res.StatusCode, res.Header, peek(res))
			}
			v, err := rule.body.Eval(ctx, expression.Env{Vars: map[string]any{"response": response}})
			if err != nil { // for example a field that this answer does not have
				s.log.DebugContext(ctx, "failure rule did not apply", "error", err)
				continue
			}
			if v != true {
				continue
			}
		}
		return &Verdict{
			Action:      rule.Action,
			until:       rule.Until,
			Repeatable:  rule.NotExecuted || res.StatusCode == http.StatusUnauthorized,
			Description: rule.describe(),
		}
	}
	return nil
}

// matchesHead compares status and headers. A header condition holds when the header is there
// and, if the condition has a value, one of its values is equal to it but for case.
func (r compiledRule) matchesHead(res *http.Response) bool {
	if len(r.Status) > 0 && !slices.Contains(r.Status, res.StatusCode) {
		return false
	}
	for name, want := range r.Headers {
		values := res.Header.Values(name)
		if len(values) == 0 || want != "" && !slices.ContainsFunc(values, func(v string) bool { return strings.EqualFold(v, want) }) {
			return false
		}
	}
	return true
}

func (r compiledRule) describe() string {
	var parts []string
	for _, status := range r.Status {
		parts = append(parts, "status "+strconv.Itoa(status))
	}
	if len(r.Headers) > 0 {
		parts = append(parts, "headers")
	}
	if r.Body != "" {
		parts = append(parts, r.Body)
	}
	return strings.Join(parts, ", ") + ": " + r.Action
}

// peek returns the beginning of the body and puts it back.
func peek(res *http.Response) []byte {
	head, err := io.ReadAll(io.LimitReader(res.Body, MaxBody))
	rest := io.Reader(res.Body)
	if err != nil {
		rest = failedReader{err}
	}
	res.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(head), rest), res.Body}
	return head
}

// failedReader repeats the error that ended a body.
type failedReader struct{ err error }

// Read implements io.Reader.
func (f failedReader) Read([]byte) (int, error) { return 0, f.err }

// Scope is what the body expression of a failure rule may read.
func Scope() expression.Scope { return expression.Scope{Names: []string{"response"}} }
