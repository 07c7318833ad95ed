package vault_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyflow/credentials"
	"keyflow/credentials/transfer"
	"keyflow/internal/fault"
)

// Secrets are stored exactly as the cell holds them.
func TestCellsAreKeptExactly(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ cell, want string }{
		"plain":             {"canary-1", "canary-1"},
		"spaces":            {"  canary  1 ", "  canary  1 "},
		"quoted":            {`"canary,1"`, "canary,1"},
		"quotes":            {`"canary""1"""`, `canary"1"`},
		"line feed":         {"\"canary\n1\n\"", "canary\n1\n"},
		"CRLF":              {"\"canary\r\n1\"", "canary\r\n1"},
		"carriage return":   {"\"canary\r1\"", "canary\r1"},
		"formula":           {"=1+canary|1", "=1+canary|1"},
		"at sign and minus": {"@-+canary", "@-+canary"},
		"zeros":             {"007e5", "007e5"},
		"JSON":              {`"{""canary"": 1}"`, `{"canary": 1}`},
		"brackets":          {"[]", "[]"},
		"empty list word":   {"null", "null"},
		"Korean":            {"비밀번호-canary", "비밀번호-canary"},
		"byte order mark":   {"\ufeffcanary", "\ufeffcanary"},
	}
	k := setup(t)
	k.create(t, `{"id": "key", "type": "api_key", "fields": {"key": "k", "in": "query", "value": "former"}, "allowed_hosts": ["a.example"]}`)
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			for _, newline := range []string{"\n", "\r\n"} {
				for _, head := range []string{"", "\ufeff"} {
					text := head + "fields.value,id" + newline + tt.cell + ",key"
					k.importAll(t, credentials.ImportOptions{}, csvFile(t, text))
					if got := k.text(t, "key", "value"); got != tt.want {
						t.Errorf("%q became %q, want %q", tt.cell, got, tt.want)
					}
					k.importAll(t, credentials.ImportOptions{}, csvFile(t, text+newline+newline+","+newline))
				}
			}
		})
	}
}

func TestColumns(t *testing.T) {
	t.Parallel()
	k := setup(t)
	k.create(t, `{"id": "old", "type": "no_auth", "name": "Old", "labels": {"keep": "1"}, "allowed_workflows": ["/a/**"], "allowed_hosts": ["a.example"]}`)
	k.importAll(t, credentials.ImportOptions{}, csvFile(t, `id,name,description,type,folder,allowed_hosts,allowed_workflows,test_url,expires_at,rotate_every,labels.team,limits,failure_rules,fields.grant_type,fields.access_token_url,fields.authorization_url,fields.client_id,fields.client_secret,fields.pkce,fields.token_params
oauth,OAuth,"d,
e",oauth2,/crm,api.example b.example:443,/crm/** /hr/sync-*,https://api.example/,2027-01-01T00:00:00Z,90d,it,"{""concurrency"": 2}","[{""status"": [403], ""action"": ""refuse""}]",authorization_code,https://login.example/t,https://login.example/a,c,canary-Secret,FALSE,"{""audience"": ""api""}"
old,,,,, ,[],,,,it,,,,,,,,,
`))
	list := k.all(t)
	equalJSON(t, "old", pick(list[1], "name", "labels", "allowed_hosts", "allowed_workflows", "version"), map[string]any{
		"name": "Old", "labels": map[string]string{"keep": "1", "team": "it"}, "allowed_hosts": []string{"a.example"}, "allowed_workflows": []string{}, "version": 1,
	})
	equalJSON(t, "oauth", pick(list[0], "name", "description", "labels", "folder", "type", "allowed_hosts", "allowed_workflows", "test_url", "expires_at", "rotate_every", "limits", "failure_rules", "fields"), map[string]any{
		"name": "OAuth", "description": "d,\ne", "labels": map[string]string{"team": "it"}, "folder": "/crm", "type": "oauth2",
		"allowed_hosts": []string{"api.example", "b.example:443"}, "allowed_workflows": []string{"/crm/**", "/hr/sync-*"}, "test_url": "https://api.example/",
		"expires_at": "2027-01-01T00:00:00Z", "rotate_every": "90d", "limits": map[string]any{"concurrency": 2},
		"failure_rules": []any{map[string]any{"status": []int{403}, "action": "refuse"}},
		"fields": map[string]any{
			"grant_type": "authorization_code", "access_token_url": "https://login.example/t", "authorization_url": "https://login.example/a",
			"client_id": "c", "pkce": false, "token_params": map[string]any{"audience": "api"},
		},
	})
	if got := k.text(t, "oauth", "client_secret"); got != "canary-Secret" {
		t.Errorf("secret %q", got)
	}
}

// pick is a credential as the API shows it, reduced to some parts.
func pick(c credentials.Credential, names ...string) map[string]any {
	text, _ := json.Marshal(c)
	var doc map[string]any
	_ = json.Unmarshal(text, &doc)
	maps.DeleteFunc(doc, func(name string, _ any) bool { return !slices.Contains(names, name) })
	return doc
}

func TestBadCSV(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		text string
		kind fault.Kind
		want []string // problems, or else the message
	}{
		"nothing":           {"", fault.Malformed, []string{"the import is empty: its first row names the columns"}},
		"header only":       {"id,name\n", fault.Invalid, []string{"/items invalid_value: holds no credential"}},
		"no header":         {"erp,canary-Pw-1\n", fault.Invalid, []string{` unknown_column: the first row must name the columns, and one of them must be "id"`}},
		"semicolons":        {"id;name\nerp;x\n", fault.Invalid, []string{` unknown_column: the first row must name the columns, and one of them must be "id"; the cells of a row are separated by commas`}},
		"cut UTF-16":        {"\xff\xfei\x00d", fault.Malformed, []string{"the CSV text is not valid utf-16le"}},
		"binary":            {"id,name\nerp,\"a\nb\x80canary\"\n", fault.Malformed, []string{"the CSV text is not valid UTF-8, on line 3: save it as CSV UTF-8"}},
		"open quote":        {"id,name\nerp,x\nfoo,\"canary\n\n", fault.Malformed, []string{"the CSV text is not valid: a cell that begins with a quote on line 3 does not end"}},
		"quote inside":      {"id,name\nerp,can\"ary\n", fault.Malformed, []string{"the CSV text is not valid on line 2: a cell that holds a quote must stand in quotes, and the quote twice"}},
		"text after quotes": {"id,name\n\"e\nr\"\"p\"canary,x\n", fault.Malformed, []string{"the CSV text is not valid on line 3: text follows the quote that ends a cell: a quote inside a cell is written twice"}},
		"lone return":       {"id,name\rerp,x\n", fault.Malformed, []string{"the CSV text is not valid on line 1: a carriage return stands alone: lines end with LF or CRLF, and a cell that holds one stands in quotes"}},
		"columns": {"id,namee,fields.pasword,labels.,fields,name,name,secrets\nx,,,,,,,\n", fault.Invalid, []string{
			` unknown_column: line 1: column 2, "namee", is not known (did you mean "name"?)`,
			` unknown_column: line 1: column 3, "fields.pasword", is not known (did you mean "fields.password"?)`,
			` unknown_column: line 1: column 4, "labels.", is not known`,
			` unknown_column: line 1: column 5, "fields", is not known`,
			` unknown_column: line 1: column 7, "name", is there twice`,
			` unknown_column: line 1: column 8, "secrets", is not known`,
			`/items/0/type required: line 2: is required: one of ` + typeNames,
		}},
		"values": {"id,type,limits,expires_at,fields.pkce,fields.token_params,allowed_hosts\nx,oauth2,{,tomorrow,maybe,a=b,a.example\n", fault.Invalid, []string{
			"/items/0/limits invalid_value: line 2: must be JSON",
			"/items/0/fields/token_params invalid_type: line 2: must be a JSON object of texts, for example {\"audience\": \"api\"}",
			"/items/0/expires_at invalid_type: line 2: must be a time such as 2026-12-31T00:00:00Z (RFC 3339)",
			"/items/0/fields/pkce invalid_type: line 2: must be true or false",
			"/items/0/fields/grant_type required: line 2: is required",
			"/items/0/fields/access_token_url required: line 2: is required",
			"/items/0/fields/client_id required: line 2: is required",
			"/items/0/fields/client_secret required: line 2: is required unless client_authentication is private_key_jwt or none",
		}},
	}
	k := setup(t)
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			file, err := transfer.ReadCSV(strings.NewReader(tt.text))
			if err == nil {
				_, err = k.Import(t.Context(), admin, credentials.ImportOptions{}, file)
			}
			got := problemLines(err)
			if got == nil {
				got = []string{fault.Message(err)}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" || fault.KindOf(err) != tt.kind {
				t.Errorf("kind %v, want %v (-want +got):\n%s", fault.KindOf(err), tt.kind, diff)
			}
			if strings.Contains(err.Error()+strings.Join(got, ""), "canary") {
				t.Error("a secret is in the error")
			}
		})
	}
	large := "id,name\n" + strings.Repeat("x,"+strings.Repeat("y", 100)+"\n", transfer.MaxBytes/100)
	if _, err := transfer.ReadCSV(strings.NewReader(large)); !fault.Is(err, fault.TooLarge) {
		t.Errorf("too large: %v", err)
	}
	many := "id\n" + strings.Repeat("x\n", transfer.MaxRows+1)
	if _, err := transfer.ReadCSV(strings.NewReader(many)); !fault.Is(err, fault.Invalid) || fault.Message(err) != "the import holds 10001 credentials, at most 10000 are possible: split it" {
		t.Errorf("too many: %v", err)
	}
}

// What is exported can be imported again: where it came from nothing changes, elsewhere
// everything but the secrets arrives.
func TestExportIsImportedAgain(t *testing.T) {
	t.Parallel()
	k := setup(t)
	k.create(t, erp)
	k.create(t, crm)
	k.create(t, `{"id": "all", "name": "=HYPERLINK(\"https://evil.example\")", "description": "one, \"two\"\r\nthree", "labels": {"team": "it", "a.b/c": "1"}, "type": "no_auth",
		"allowed_hosts": ["a.example", "*.b.example"], "allowed_workflows": [], "limits": {"requests": 5, "per": "1s"}, "test_url": "https://a.example/",
		"failure_rules": [{"status": [403], "headers": {"x": "y"}, "action": "refuse"}], "expires_at": "2027-01-01T00:00:00Z", "rotate_every": "90d"}`)
	var docs []map[string]any
	for _, c := range k.all(t) {
		doc, err := transfer.Export(c)
		if err != nil {
			t.Fatal(err)
		}
		docs = append(docs, doc)
	}
	var text bytes.Buffer
	if err := transfer.WriteCSV(&text, docs); err != nil {
		t.Fatal(err)
	}
	asJSON := encode(t, map[string]any{"items": docs})
	if strings.Contains(text.String()+asJSON, "canary") {
		t.Fatalf("a secret was exported:\n%s\n%s", text.String(), asJSON)
	}
	if want := map[string]any{"client_secret": map[string]any{"set": true}}; cmp.Diff(want, docs[1]["secrets"]) != "" {
		t.Errorf("secrets of crm: %v", docs[1]["secrets"])
	}
	for form, file := range map[string]transfer.File{"JSON": jsonFile(t, asJSON), "CSV": csvFile(t, text.String())} {
		if plan := k.importAll(t, credentials.ImportOptions{}, file); plan.Unchanged != 3 {
			t.Errorf("%s at home: %+v", form, plan)
		}
		other := setup(t)
		_, err := other.Import(t.Context(), admin, credentials.ImportOptions{}, file)
		if got := problemLines(err); len(got) != 1 || !strings.Contains(got[0], "/fields/client_secret required: ") {
			t.Errorf("%s elsewhere, without the secret: %v %v", form, err, got)
		}
		other.create(t, strings.Replace(crm, "https://login.crm.example/token", "https://else.example/token", 1))
		if _, err = other.Import(t.Context(), admin, credentials.ImportOptions{}, file); len(fault.ProblemsOf(err)) == 0 {
			t.Errorf("%s: an export moved a stored secret to another host", form)
		}
		if err := other.Delete(t.Context(), admin, "crm", true); err != nil {
			t.Fatal(err)
		}
		other.create(t, crm)
		other.importAll(t, credentials.ImportOptions{}, file)
		here, there := k.all(t), other.all(t)
		for i := range here {
			for _, c := range []*credentials.Credential{&here[i], &there[i]} {
				c.Secrets, c.Revision, c.State, c.Version = nil, 0, credentials.State{}, 0
			}
		}
		if diff := cmp.Diff(here, there); diff != "" {
			t.Errorf("%s elsewhere (-here +there):\n%s", form, diff)
		}
	}
}

func FuzzCSV(f *testing.F) {
	f.Add("id,name\nx,\"a\"\"b\"\r\n")
	f.Add("\ufeffid\n\"\n\"")
	f.Add("id,,\n,,,\r\n\r")
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := transfer.ReadCSV(strings.NewReader(text)); err != nil && fault.KindOf(err) == fault.Internal {
			t.Error(err)
		}
	})
}
