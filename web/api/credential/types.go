package credential

import (
	"context"

	"keyflow/credentials"
	"keyflow/credentials/authtype"
	"keyflow/credentials/presets"
	"keyflow/web/rest"
	"keyflow/web/session"
)

type credentialTypeView struct {
	ID      credentials.TypeName `json:"id"`
	Name    string               `json:"name"`
	Summary string               `json:"summary"`
	Fields  []authtype.Field     `json:"fields" nullable:"false"`
}

func (h *handlers) credentialTypes(context.Context, session.Who, *struct{}) (*rest.Answer[rest.Page[credentialTypeView]], error) {
	return rest.ListOf(h.Credentials.Types(), func(t authtype.Type) credentialTypeView {
		return credentialTypeView{ID: t.Name, Name: t.Label, Summary: t.Summary, Fields: append([]authtype.Field{}, t.Fields...)}
	}), nil
}

func (h *handlers) credentialPresets(context.Context, session.Who, *struct{}) (*rest.Answer[rest.Page[presets.Preset]], error) {
	return rest.ListOf(h.Credentials.Presets(), rest.Same[presets.Preset]), nil
}
