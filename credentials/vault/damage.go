package vault

import "keyflow/credentials"

// listed is the view of a record in a list, where a damaged one must not hide the others.
func (v *Vault) listed(r credentials.Record) credentials.Credential {
	if r.Damage != nil {
		r.Credential = credentials.Credential{
			ID: r.ID, Name: r.Name, Folder: r.Folder, Type: r.Type, Version: r.Version, Revision: r.Revision,
			CreatedAt: r.CreatedAt, CreatedBy: r.CreatedBy, UpdatedAt: r.UpdatedAt, UpdatedBy: r.UpdatedBy, LastUsedAt: r.LastUsedAt,
			AllowedWorkflows: []string{},
			State:            credentials.State{Status: credentials.Refused, Message: credentials.MessageDamaged, Since: r.UpdatedAt},
		}
	}
	return v.view(r.Credential)
}
