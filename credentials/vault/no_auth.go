package vault

import (
	"net/http"

	"keyflow/credentials"
)

// noAuth sends requests as they are; the record still says where they may go.
func noAuth() Type {
	return Type{
		Name:     credentials.TypeNoAuth,
		Label:    "No Auth",
		Summary:  "Requests are sent as they are.",
		Fields:   []Field{},
		anywhere: true,
		authenticate: func(*values, *http.Request, proof) ([]string, error) {
			return nil, nil
		},
	}
}
