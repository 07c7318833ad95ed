package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"keyflow/credentials"
	"keyflow/internal/fault"
	"keyflow/workflows"
)

// CredentialRights says which workflows may name a credential; *credentials.Vault does.
type CredentialRights interface {
	// Check is NotFound for an unknown id and Forbidden when allowed_workflows excludes the workflow.
	Check(ctx context.Context, id credentials.ID, workflow, folder string) error
	// CheckInbound is also Invalid when the type cannot verify requests.
	CheckInbound(ctx context.Context, id credentials.ID, workflow, folder string) error
}

// NewCredentialChecker returns the checker of literal credential ids. An unknown id is a
// warning, because definitions and credentials may arrive in either order; one that may not
// be used is an error. Both are checked again on the resolved id at each call.
func NewCredentialChecker(rights CredentialRights) workflows.Checker {
	return credentialChecker{rights}
}

type credentialChecker struct{ rights CredentialRights }

var _ workflows.Checker = credentialChecker{}

// Check implements workflows.Checker.
func (c credentialChecker) Check(ctx context.Context, d *workflows.Definition) (problems, warnings []workflows.Problem) {
	report := func(path, id string, check func(context.Context, credentials.ID, string, string) error) {
		if id == "" || strings.Contains(id, "{{") {
			return
		}
		p, warn := credentialProblem(check(ctx, credentials.ID(id), string(d.ID), d.Folder), id)
		if p.Code == "" {
			return
		}
		p.Path = path
		if at, ok := d.Positions[path]; ok {
			p.Line, p.Column = at.Line, at.Column
		}
		if warn {
			warnings = append(warnings, p)
		} else {
			problems = append(problems, p)
		}
	}
	for _, id := range d.NodeOrder {
		report("/nodes/"+string(id)+"/credential", d.Nodes[id].Credential, c.rights.Check)
	}
	for _, id := range slices.Sorted(maps.Keys(d.Triggers)) {
		report("/triggers/"+escapePointer(id)+"/credential", d.Triggers[id].Credential, c.rights.CheckInbound)
	}
	return problems, warnings
}

// credentialProblem turns the answer of a check into a problem; its zero value is none.
func credentialProblem(err error, id string) (p workflows.Problem, warning bool) {
	f, ok := errors.AsType[*fault.Error](err)
	switch {
	case err == nil:
		return p, false
	case ok && f.Kind == fault.NotFound:
		return workflows.Problem{Code: "credential_unknown", Message: fmt.Sprintf("no credential %q exists yet: runs fail until it is created", id)}, true
	case ok && f.Kind == fault.Forbidden:
		return workflows.Problem{Code: "workflow_not_allowed", Message: f.Message}, false
	case ok && len(f.Problems) > 0:
		return workflows.Problem{Code: f.Problems[0].Code, Message: f.Problems[0].Message}, false
	default:
		return workflows.Problem{Code: "credential_unchecked", Message: fmt.Sprintf("credential %q could not be checked now: %s", id, fault.Message(err))}, true
	}
}
