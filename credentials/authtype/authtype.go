// Package authtype declares the authentication types, one file each: its fields, what is wrong
// with their values, how it authenticates a request and how it verifies one. The form, the
// validation of an input, the JSON Schema and the columns of an import are made from these
// declarations. docs/contributing/add-an-authentication-type.md says how to add one.
//
// It sees values in clear and keeps none. It must not know where they are stored, who may use
// them, or how tokens are obtained.
package authtype

import (
	"crypto/tls"
	"maps"
	"net/http"
	"slices"
	"time"

	"keyflow/credentials"
)

// The kinds of fields and the JSON values they take.
const (
	KindText    = "text"    // string
	KindLines   = "lines"   // string of several lines: keys, certificates
	KindBoolean = "boolean" // true or false
	KindChoice  = "choice"  // one of Choices
	KindMap     = "map"     // object of strings
)

// The formats of text fields.
const (
	FormatURL      = "url"
	FormatDuration = "duration"
)

// Type declares an authentication type once: forms, validation, schema and documentation
// are made from it.
type Type struct {
	Name    credentials.TypeName `json:"name"`
	Label   string               `json:"label"`
	Summary string               `json:"summary"`
	Fields  []Field              `json:"fields"`

	// Authenticate attaches the credential; Renews says that it needs a token from elsewhere.
	Authenticate Authentication `json:"-"`
	Renews       bool           `json:"-"`
	// Verify checks an inbound request; nil for types that cannot.
	Verify Verification `json:"-"`
	// Certificate is what TLS servers are shown; nil for types that have none.
	Certificate func(v *Values) (*tls.Certificate, error) `json:"-"`
	// Anywhere says that allowed_hosts may be empty. The API does not show it: the page repeats it
	// (AccessSection in web/ui/src/pages/credentials/form.tsx).
	Anywhere bool `json:"-"`
	// Placement names where the credential goes in a request, without its value, for the report of
	// a test; nil when there is no one place.
	Placement func(v *Values) string `json:"-"`
	// Later names fields that a later release adds.
	Later []string `json:"-"`
	// Check finds what no single field can tell; it sees plain texts and revealed secrets.
	Check func(v *Values) []Issue `json:"-"`
}

// Field declares one field of a type.
type Field struct {
	Name     string   `json:"name"`
	Label    string   `json:"label"`
	Help     string   `json:"help"`
	Secret   bool     `json:"secret"`
	Required bool     `json:"required"` // when shown
	Kind     string   `json:"kind"`     // text, lines, boolean, choice, map
	Choices  []string `json:"choices,omitempty"`
	Default  string   `json:"default,omitempty"`
	Pattern  string   `json:"pattern,omitempty"` // RE2, anchored
	// ShowIf lists values of other fields that must all hold for this field to apply.
	ShowIf map[string]string `json:"show_if,omitempty"`
	// Sources are the kinds of references that a secret field takes here: env, file, vault.
	Sources []string `json:"sources,omitempty"`
	// SecretIf names a boolean field that makes this one secret.
	SecretIf string `json:"secret_if,omitempty"`

	Format string `json:"-"` // FormatURL, FormatDuration or ""
	// Blank: an empty text is a value; elsewhere it means absent (plain) or cleared (secret).
	Blank bool `json:"-"`
	// Steers: a change could send a stored secret somewhere new, so it needs the secret again.
	Steers bool `json:"-"`
	// Grants: a change makes tokens obtained before unusable.
	Grants bool `json:"-"`
	// Later lists choices that a later release adds.
	Later []string `json:"-"`
}

// Issue is a problem of a field, before it has a path.
type Issue struct{ Field, Code, Message string }

// Authentication authenticates req in place and returns the exact values put on the wire,
// encoded ones too, which are masked in answers. It may replace req.Body.
type Authentication func(v *Values, req *http.Request, with Proof) (wire []string, err error)

// Proof is what an authentication needs beyond the credential.
type Proof struct {
	Token string // "" for the types that need none
	Now   time.Time
}

// Verification reports whether an inbound request proves itself. It takes the same time
// whatever is wrong.
type Verification func(v *Values, r Inbound) (Proven, bool)

// Proven is what a verification found.
type Proven struct {
	CarriedIn []string // headers and query keys that hold the proof: not for the run's input
	// Once names the request until a time when nobody accepts it any more; "" may come again.
	Once  string
	Until time.Time
}

// Inbound is a request that asks to be let in.
type Inbound struct {
	*http.Request
	Raw []byte // as it came, byte for byte
	Now time.Time
}

// SecretIn reports whether the field is secret in these values.
func (f *Field) SecretIn(fields map[string]any) bool {
	return f.Secret || f.SecretIf != "" && fields[f.SecretIf] == true
}

// ShownIn reports whether the field applies to these values.
func (f *Field) ShownIn(texts map[string]string) bool {
	for name, want := range f.ShowIf {
		if texts[name] != want {
			return false
		}
	}
	return true
}

// Field returns a field by its name; nil when the type has none.
func (t *Type) Field(name string) *Field {
	i := slices.IndexFunc(t.Fields, func(f Field) bool { return f.Name == name })
	if i < 0 {
		return nil
	}
	return &t.Fields[i]
}

// SecretNames are the fields of the type that are secret when given values are put over
// present ones.
func SecretNames(t *Type, present, given map[string]any) []string {
	fields := maps.Clone(present)
	if fields == nil {
		fields = make(map[string]any, len(given))
	}
	maps.Copy(fields, given)
	var names []string
	for i := range t.Fields {
		if t.Fields[i].SecretIn(fields) {
			names = append(names, t.Fields[i].Name)
		}
	}
	return names
}
