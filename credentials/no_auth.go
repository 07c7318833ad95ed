package credentials

import "net/http"

// noAuth sends requests as they are; the record still says where they may go.
func noAuth() Type {
	return Type{
		Name:     TypeNoAuth,
		Label:    "No Auth",
		Summary:  "Requests are sent as they are.",
		Fields:   []Field{},
		anywhere: true,
		authenticate: func(*opened, *http.Request, proof) ([]string, error) {
			return nil, nil
		},
	}
}
