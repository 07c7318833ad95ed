package credentials

import (
	"net/http"
)

// The authentication types.
const (
	TypeNoAuth    TypeName = "no_auth"
	TypeBasicAuth TypeName = "basic_auth"
	TypeAPIKey    TypeName = "api_key"
	TypeOAuth2    TypeName = "oauth2"
)

// The kinds of fields and the JSON values they take.
const (
	KindText    = "text"    // string
	KindBoolean = "boolean" // true or false
	KindChoice  = "choice"  // one of Choices
	KindMap     = "map"     // object of strings
)

// The formats of text fields.
const (
	formatURL      = "url"
	formatDuration = "duration"
)

// Type declares an authentication type once: forms, validation, schema and documentation
// are made from it.
type Type struct {
	Name    TypeName `json:"name"`
	Label   string   `json:"label"`
	Summary string   `json:"summary"`
	Fields  []Field  `json:"fields"`

	// authenticate attaches the credential; renews says that it needs a token from elsewhere.
	authenticate authentication
	renews       bool
	// later names fields that a later release brings.
	later []string
	// check finds what no single field can tell; it sees plain texts and revealed secrets.
	check func(o *opened) []issue
}

// Field declares one field of a type.
type Field struct {
	Name     string   `json:"name"`
	Label    string   `json:"label"`
	Help     string   `json:"help"`
	Secret   bool     `json:"secret"`
	Required bool     `json:"required"` // when shown
	Kind     string   `json:"kind"`     // text, boolean, choice, map
	Choices  []string `json:"choices,omitempty"`
	Default  string   `json:"default,omitempty"`
	Pattern  string   `json:"pattern,omitempty"` // RE2, anchored
	// ShowIf lists values of other fields that must all hold for this field to apply.
	ShowIf map[string]string `json:"show_if,omitempty"`
	// SecretIf names a boolean field that makes this one secret.
	SecretIf string `json:"secret_if,omitempty"`

	format string
	// blank: an empty text is a value; elsewhere it means absent (plain) or cleared (secret).
	blank bool
	// steers: a change could send a stored secret somewhere new, so it needs the secret again.
	steers bool
	// grants: a change makes tokens obtained before unusable.
	grants bool
	// later lists choices that a later release brings.
	later []string
}

// issue is a problem of a field, before it has a path.
type issue struct{ field, code, message string }

// authentication authenticates req in place and returns the exact values put on the wire,
// for redaction. token is "" for the types that need none.
type authentication func(o *opened, req *http.Request, token string) (wire []string, err error)

func builtinTypes() []Type {
	return []Type{noAuth(), basicAuth(), apiKey(), oauth2()}
}
