package vault_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"keyflow/credentials"
	"keyflow/credentials/document"
)

// What the vault takes the schema takes, and what is plainly wrong neither does.
func TestSchema(t *testing.T) {
	t.Parallel()
	text, err := document.Schema()
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("credential.json", document); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("credential.json")
	if err != nil {
		t.Fatal(err)
	}
	check := func(text string) error {
		value, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		return schema.Validate(value)
	}
	for _, p := range listPresets(t) {
		blanks := make(map[string]string)
		for _, b := range p.Blanks {
			blanks[b.Name] = b.Example
		}
		in, _ := p.Fill(blanks)
		in.ID = credentials.ID(p.ID)
		for name, value := range secretsOf(p.Type) {
			in.Fields[name] = value
		}
		if err := check(quoted(t, in)); err != nil {
			t.Errorf("preset %s: %v", p.ID, err)
		}
	}
	for _, text := range []string{
		erp, crm, `{"id": "x", "type": "no_auth"}`, `{"id": "x", "type": "signing", "fields": {"secret": "whsec_AAAA"}}`,
		`{"id": "x", "type": "custom", "allowed_hosts": ["a.example"], "fields": ` + customFields + `}`,
	} {
		if err := check(text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, text := range []string{
		`{}`, `[]`, `{"id": "X", "type": "no_auth"}`, `{"id": "x", "type": "nonsense"}`, `{"id": "x", "type": "no_auth", "fields": {"a": "b"}}`,
		`{"id": "x", "type": "basic_auth", "allowed_hosts": ["a.example"]}`, `{"id": "x", "type": "bearer_token", "fields": {"token": "t"}}`,
		`{"id": "x", "type": "bearer_token", "allowed_hosts": ["a.example"], "fields": {"token": 5}}`,
		`{"id": "x", "type": "custom", "allowed_hosts": ["a.example"], "fields": {"secret_headers": "X-Key: v"}}`,
		`{"id": "x", "type": "no_auth", "failure_rules": [{"action": "explode"}]}`, `{"id": "x", "type": "no_auth", "colour": "red"}`,
	} {
		if err := check(text); err == nil {
			t.Errorf("accepted: %s", text)
		}
	}
}
