// Package identity says on whose behalf something happens.
//
// A Caller is a parameter of every operation that reads or changes something, never a
// context value: authorization and audit read it in the same function that acts. The
// package holds the role table and nothing about sessions, tokens or HTTP.
package identity

import (
	"strings"

	"keyflow/internal/fault"
)

// Role is a fixed set of rights; each includes those before it in the table below,
// except that editor and credential_manager stand side by side.
type Role string

// The roles. No role can read a secret.
const (
	Viewer            Role = "viewer"             // see definitions and runs
	Operator          Role = "operator"           // + start, cancel, retry, approve
	Editor            Role = "editor"             // + write workflows, name credentials
	CredentialManager Role = "credential_manager" // + create, change, test, rotate credentials
	Admin             Role = "admin"              // + users, tokens, keys, settings
)

// Right is one thing a caller may do inside a folder.
type Right string

// The rights that operations ask for.
const (
	View              Right = "view"
	Operate           Right = "operate"
	EditWorkflows     Right = "edit_workflows"
	UseCredentials    Right = "use_credentials"
	ManageCredentials Right = "manage_credentials"
	Administer        Right = "administer"
)

func rights(r Role) []Right {
	switch r {
	case Viewer:
		return []Right{View}
	case Operator:
		return []Right{View, Operate}
	case Editor:
		return []Right{View, Operate, EditWorkflows, UseCredentials}
	case CredentialManager:
		return []Right{View, Operate, UseCredentials, ManageCredentials}
	case Admin:
		return []Right{View, Operate, EditWorkflows, UseCredentials, ManageCredentials, Administer}
	default:
		return nil
	}
}

// Valid reports whether r is one of the roles.
func (r Role) Valid() bool { return rights(r) != nil }

// Caller is who acts: a person, a token or Keyflow itself, with one role below one folder.
// The zero value may do nothing.
type Caller struct {
	Name   string // shown as created_by and updated_by: "admin", "token:ci", "system"
	Role   Role
	Folder string // the role holds in this folder and below; "/" is everywhere
}

// System is Keyflow itself: triggers, examples and command line work on the local data folder.
func System() Caller { return Caller{Name: "system", Role: Admin, Folder: "/"} }

// May reports whether the caller has the right in folder.
func (c Caller) May(right Right, folder string) bool {
	if !within(folder, c.Folder) {
		return false
	}
	for _, r := range rights(c.Role) {
		if r == right {
			return true
		}
	}
	return false
}

// Require returns a Forbidden fault when the caller lacks the right in folder.
func (c Caller) Require(right Right, folder string) error {
	if c.May(right, folder) {
		return nil
	}
	return fault.New(fault.Forbidden, "%s needs the right %s in folder %s", c.Name, right, folder)
}

func within(folder, root string) bool {
	return root == "/" || root != "" && (folder == root || strings.HasPrefix(folder, strings.TrimSuffix(root, "/")+"/"))
}
