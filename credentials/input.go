package credentials

import (
	"fmt"
	"log/slog"
	"time"
)

// AnyRevision as expected revision makes an edit unconditional.
const AnyRevision int64 = -1

// Input is a credential as written by a caller (POST, PUT, import). Fields holds plain
// and secret fields together; a secret field that is absent keeps its value on update,
// JSON null clears it.
type Input struct {
	ID               ID                `json:"id"`
	Name             string            `json:"name,omitempty"`
	Description      string            `json:"description,omitempty"`
	Labels           map[string]string `json:"labels,omitempty"`
	Folder           string            `json:"folder,omitempty"`
	Type             TypeName          `json:"type"`
	Fields           map[string]any    `json:"fields,omitempty"`
	AllowedHosts     []string          `json:"allowed_hosts,omitempty"`
	AllowedWorkflows []string          `json:"allowed_workflows,omitempty"`
	RotatableBy      []string          `json:"rotatable_by,omitempty"`
	Limits           *Limits           `json:"limits,omitempty"`
	FailureRules     []FailureRule     `json:"failure_rules,omitempty"`
	TestURL          string            `json:"test_url,omitempty"`
	ExpiresAt        *time.Time        `json:"expires_at,omitempty"`
	RotateEvery      string            `json:"rotate_every,omitempty"`
	Grace            string            `json:"grace,omitempty"`
}

// Format implements fmt.Formatter: an input holds secrets in clear, so it shows id and type only.
func (in Input) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "{%s %s}", string(in.ID), string(in.Type))
}

// LogValue implements slog.LogValuer and shows id and type only.
func (in Input) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(in)) }
