package vault

import (
	"crypto/sha256"
	"crypto/subtle"
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
	formatURL      = "url"
	formatDuration = "duration"
)

// Type declares an authentication type once: forms, validation, schema and documentation
// are made from it.
type Type struct {
	Name    credentials.TypeName `json:"name"`
	Label   string               `json:"label"`
	Summary string               `json:"summary"`
	Fields  []Field              `json:"fields"`

	// authenticate attaches the credential; renews says that it needs a token from elsewhere.
	authenticate authentication
	renews       bool
	// verify checks an inbound request; nil for types that cannot.
	verify verification
	// certificate is what TLS servers are shown; nil for types that have none.
	certificate func(o *values) (*tls.Certificate, error)
	// anywhere says that allowed_hosts may be empty.
	anywhere bool
	// placement names where the credential goes in a request, without its value.
	placement func(o *values) string
	// later names fields that a later release brings.
	later []string
	// check finds what no single field can tell; it sees plain texts and revealed secrets.
	check func(o *values) []issue
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
// for redaction. It may replace req.Body.
type authentication func(o *values, req *http.Request, with proof) (wire []string, err error)

// proof is what an authentication needs beyond the credential.
type proof struct {
	token string // "" for the types that need none
	now   time.Time
}

// verification reports whether an inbound request proves itself. It takes the same time
// whatever is wrong.
type verification func(o *values, r inbound) (proven, bool)

// proven is what a verification found.
type proven struct {
	held []string // headers and query keys that hold the proof: not for the run's input
	// once names the request until a time when nobody accepts it any more; "" may come again.
	once  string
	until time.Time
}

// inbound is a request that asks to be let in.
type inbound struct {
	*http.Request
	body []byte // as it came, byte for byte
	now  time.Time
}

func builtinTypes() []Type {
	return []Type{noAuth(), basicAuth(), apiKey(), oauth2(), bearerToken(), custom(), jwtType(), clientCertificate(), signing()}
}

// secretIn reports whether the field is secret in these values.
func (f *Field) secretIn(fields map[string]any) bool {
	return f.Secret || f.SecretIf != "" && fields[f.SecretIf] == true
}

// shownIn reports whether the field applies to these values.
func (f *Field) shownIn(texts map[string]string) bool {
	for name, want := range f.ShowIf {
		if texts[name] != want {
			return false
		}
	}
	return true
}

// field returns a field by its name; nil when the type has none.
func (t *Type) field(name string) *Field {
	i := slices.IndexFunc(t.Fields, func(f Field) bool { return f.Name == name })
	if i < 0 {
		return nil
	}
	return &t.Fields[i]
}

// secretNames are the fields of the type that are secret when given values are put over
// present ones.
func secretNames(t *Type, present, given map[string]any) []string {
	fields := maps.Clone(present)
	if fields == nil {
		fields = make(map[string]any, len(given))
	}
	maps.Copy(fields, given)
	var names []string
	for i := range t.Fields {
		if t.Fields[i].secretIn(fields) {
			names = append(names, t.Fields[i].Name)
		}
	}
	return names
}

// sameText compares in a time that tells neither content nor length; 1 is equal.
func sameText(a, b string) int {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:])
}
