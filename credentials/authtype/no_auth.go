package authtype

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
		Anywhere: true,
		Authenticate: func(*Values, *http.Request, Proof) ([]string, error) {
			return nil, nil
		},
	}
}
