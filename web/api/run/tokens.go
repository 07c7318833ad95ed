package run

import (
	"bytes"
	"regexp"

	"keyflow/engine/runs"
	"keyflow/triggers/webhook"
)

// tokens finds the tokens of callback URLs (package engine): who has one may call it.
var tokens = regexp.MustCompile(`/callbacks/[A-Za-z0-9_-]{22}\.[A-Za-z0-9_]+\.[A-Za-z0-9_-]+`)

// WithoutTokens masks the tokens of callback URLs: a viewer of the run must not call them.
func WithoutTokens(text []byte) []byte {
	if !bytes.Contains(text, []byte(webhook.CallbacksPrefix)) {
		return text
	}
	return tokens.ReplaceAll(text, []byte(webhook.CallbacksPrefix+"***"))
}

func withoutTokensIn(e *runs.StepError) *runs.StepError {
	if e == nil || e.Response == nil {
		return e
	}
	shown := *e
	shown.Response = WithoutTokens(e.Response)
	return &shown
}
