package plan

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"keyflow/credentials"
	"keyflow/internal/fault"
	"keyflow/nodes"
	"keyflow/workflows"
)

// CredentialRights says which workflows may name a credential; *credentials.Vault does.
type CredentialRights interface {
	// Check is NotFound for an unknown id and Forbidden when allowed_workflows excludes the
	// workflow.
	Check(ctx context.Context, id credentials.ID, workflow, folder string) error
	// CheckInbound is also Invalid when the type cannot verify requests.
	CheckInbound(ctx context.Context, id credentials.ID, workflow, folder string) error
	// CheckAct is also Forbidden when rotatable_by excludes the workflow; it returns the names of
	// the secret fields.
	CheckAct(ctx context.Context, id credentials.ID, workflow, folder string) (secrets []string, err error)
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
		node, path := d.Nodes[id], "/nodes/"+string(id)
		if node.Type != nodes.TypeCredential {
			report(path+"/credential", node.Credential, c.rights.Check)
			continue
		}
		report(path+"/credential", node.Credential, func(ctx context.Context, id credentials.ID, workflow, folder string) error {
			secrets, err := c.rights.CheckAct(ctx, id, workflow, folder)
			problems = append(problems, literalSecrets(d, path, node.With["fields"], secrets)...)
			return err
		})
	}
	for _, id := range slices.Sorted(maps.Keys(d.Triggers)) {
		report("/triggers/"+escapePointer(id)+"/credential", d.Triggers[id].Credential, c.rights.CheckInbound)
	}
	return problems, warnings
}

// literalSecrets reports secret fields that do not come from sensitive nodes: the definition and
// the history of runs can be read by people who may not see secrets.
func literalSecrets(d *workflows.Definition, path string, fields any, secrets []string) (problems []workflows.Problem) {
	if fields == nil || len(secrets) == 0 {
		return nil
	}
	members, ok := fields.(map[string]any)
	if !ok {
		members = map[string]any{EveryMember: fields}
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if !ok || slices.Contains(secrets, name) {
			if value := members[name]; value == nil || isSealed(d, value) {
				continue
			}
			at := path + "/with/fields"
			if ok {
				at += "/" + escapePointer(name)
			}
			problems = append(problems, d.Problemf(at, codeLiteralSecret,
				"a secret must not stand in a workflow: take it from the output of a node with \"sensitive\": true, as \"{{ nodes.ID.output... }}\""))
		}
	}
	return problems
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
