package credentials

import "keyflow/internal/fault"

// MessageDamaged is the state of a credential whose row cannot be read.
const MessageDamaged = "damaged in the database: restore the backup, or delete it and create it again"

// Damaged is the error of a record that cannot be read; nil for any other.
func (r *Record) Damaged() error {
	if r.Damage == nil {
		return nil
	}
	return fault.New(fault.Conflict, "credential %q is %s", r.ID, MessageDamaged).Because(r.Damage)
}

// listed is the view of a record in a list, where a damaged one must not hide the others.
func (v *Vault) listed(r Record) Credential {
	if r.Damage != nil {
		r.Credential = Credential{
			ID: r.ID, Name: r.Name, Folder: r.Folder, Type: r.Type, Version: r.Version, Revision: r.Revision,
			CreatedAt: r.CreatedAt, CreatedBy: r.CreatedBy, UpdatedAt: r.UpdatedAt, UpdatedBy: r.UpdatedBy, LastUsedAt: r.LastUsedAt,
			AllowedWorkflows: []string{},
			State:            State{Status: Refused, Message: MessageDamaged, Since: r.UpdatedAt},
		}
	}
	return v.view(r.Credential)
}
