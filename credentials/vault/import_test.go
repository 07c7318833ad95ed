package vault_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyflow/credentials"
	"keyflow/credentials/masterkey"
	"keyflow/credentials/sqlstore"
	"keyflow/credentials/transfer"
	"keyflow/credentials/vault"
	"keyflow/internal/fault"
	"keyflow/internal/identity"
	"keyflow/internal/jsonvalue"
)

func jsonFile(t *testing.T, text string) transfer.File {
	t.Helper()
	v, err := jsonvalue.DecodeStrict([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	file, err := transfer.ReadJSON(v)
	if err != nil {
		t.Fatal(err, problemLines(err))
	}
	return file
}

func csvFile(t *testing.T, text string) transfer.File {
	t.Helper()
	file, err := transfer.ReadCSV(strings.NewReader(text))
	if err != nil {
		t.Fatal(err, problemLines(err))
	}
	return file
}

func (k *keep) importAll(t *testing.T, o credentials.ImportOptions, file transfer.File) credentials.ImportPlan {
	t.Helper()
	plan, err := k.Import(t.Context(), admin, o, file)
	if err != nil {
		t.Fatal(err, problemLines(err))
	}
	return plan
}

// all are the credentials that exist, as the API shows them.
func (k *keep) all(t *testing.T) []credentials.Credential {
	t.Helper()
	list, err := k.List(t.Context(), admin, credentials.Filter{Limit: 500})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestImportCreatesAndChangesWhatRowsName(t *testing.T) {
	t.Parallel()
	k := setup(t)
	k.create(t, erp)
	k.create(t, crm)
	const items = `{"items": [
		{"id": "erp", "fields": {"password": "canary-Pw-2"}},
		{"id": "crm", "name": "CRM", "labels": {"team": "it"}, "fields": {"scope": "read", "token_params": {"audience": null, "resource": "r"}}, "expires_at": "2027-01-01T09:00:00+09:00"},
		{"id": "new", "type": "api_key", "fields": {"key": "X-Key", "value": "canary-Key-1"}, "allowed_hosts": ["a.example"], "secrets": {"value": {"set": true}}, "version": 9}
	]}`
	k.now = k.now.Add(time.Hour)
	before := k.all(t)
	want := credentials.ImportPlan{Created: 1, Updated: 2, Items: []credentials.ImportItem{
		{ID: "erp", Action: credentials.ActionUpdate, Changed: []string{"fields.password"}},
		{ID: "crm", Action: credentials.ActionUpdate, Changed: []string{"expires_at", "fields.scope", "fields.token_params", "labels", "name"}},
		{ID: "new", Action: credentials.ActionCreate, Changed: []string{"allowed_hosts", "fields.key", "fields.value", "type"}},
	}}
	dry := want
	dry.DryRun = true
	if diff := cmp.Diff(dry, k.importAll(t, credentials.ImportOptions{DryRun: true}, jsonFile(t, items))); diff != "" {
		t.Errorf("dry run (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(before, k.all(t)); diff != "" {
		t.Errorf("the dry run changed (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, k.importAll(t, credentials.ImportOptions{}, jsonFile(t, items))); diff != "" {
		t.Errorf("import (-want +got):\n%s", diff)
	}

	for id, texts := range map[credentials.ID][2]string{"erp": {"password", "canary-Pw-2"}, "crm": {"client_secret", "canary-Secret-1"}, "new": {"value", "canary-Key-1"}} {
		if got := k.text(t, id, texts[0]); got != texts[1] {
			t.Errorf("%s of %s is %q, want %q", texts[0], id, got, texts[1])
		}
	}
	list := k.all(t)
	if list[1].Version != 2 || list[1].Name != "ERP" || list[1].Fields["username"] != "it@acme.kr" || list[1].UpdatedBy != "admin" || !list[1].UpdatedAt.Equal(k.now) {
		t.Errorf("erp is now %+v", list[1])
	}
	if diff := cmp.Diff(map[string]any{"resource": "r"}, list[0].Fields["token_params"]); diff != "" || list[0].ExpiresAt.String() != "2027-01-01 00:00:00 +0000 UTC" {
		t.Errorf("crm is now %+v", list[0])
	}
	versions, err := k.Versions(t.Context(), admin, "erp")
	if err != nil || len(versions) != 2 || versions[0].Origin != credentials.OriginImport || versions[1].Origin != credentials.OriginEdit {
		t.Errorf("versions of erp: %+v, %v", versions, err)
	}
	revisions := map[int64]bool{list[0].Revision: true, list[1].Revision: true, list[2].Revision: true}
	if len(revisions) != 3 {
		t.Errorf("edits share revisions: %v", revisions)
	}

	again := k.importAll(t, credentials.ImportOptions{}, jsonFile(t, items))
	if again.Unchanged != 3 || again.Created+again.Updated != 0 || cmp.Diff(list, k.all(t)) != "" {
		t.Errorf("the same import again: %+v\n%s", again, cmp.Diff(list, k.all(t)))
	}
}

// Promise P1: whoever uses a credential after the import has returned gets the new secret.
func TestImportIsSeenByTheNextUse(t *testing.T) {
	t.Parallel()
	k := setup(t)
	for n := range 3 {
		k.create(t, fmt.Sprintf(`{"id": "k%d", "type": "api_key", "fields": {"key": "X", "value": "canary-old-%d"}, "allowed_hosts": ["a.example"]}`, n, n))
		k.text(t, credentials.ID(fmt.Sprintf("k%d", n)), "value") // now cached
	}
	k.importAll(t, credentials.ImportOptions{Mode: credentials.ImportUpdate}, csvFile(t, "id,fields.value\nk0,canary-new-0\nk2,canary-new-2\n"))
	for id, want := range map[credentials.ID]string{"k0": "canary-new-0", "k1": "canary-old-1", "k2": "canary-new-2"} {
		if got := k.text(t, id, "value"); got != want {
			t.Errorf("%s: %q, want %q", id, got, want)
		}
	}
}

func TestBadRowsOfAThousand(t *testing.T) {
	t.Parallel()
	k := setup(t)
	k.create(t, erp)
	before := k.all(t)
	text := strings.Builder{}
	text.WriteString("id,type,allowed_hosts,fields.username,fields.password\r\n")
	for n := range 1000 {
		switch n {
		case 0:
			text.WriteString("erp,,,,canary-changed\r\n")
		case 499: // line 501
			text.WriteString("Bad Id,basic_auth,a.example,u,canary-Pw-499\r\n")
		case 700:
			text.WriteString("id700,basic_auth,a.example,\"canary\r\nu\"\r\n")
		case 998: // one line later: the row above has two
			text.WriteString("id3,basik_auth,a.example,u,canary-Pw-998\r\n")
		default:
			fmt.Fprintf(&text, "id%d,basic_auth,a.example,u,canary-Pw-%d\r\n", n, n)
		}
	}
	for _, dry := range []bool{true, false} {
		_, err := k.Import(t.Context(), admin, credentials.ImportOptions{DryRun: dry}, csvFile(t, text.String()))
		want := []string{
			`/items/499/id invalid_value: line 501: must be 1 to 63 lower-case letters, digits, '-' or '_', beginning with a letter or digit, for example "bad-id"`,
			`/items/700 wrong_cells: line 702: has 4 cells, the first row has 5; a cell with commas, quotes or line breaks stands in quotes`,
			`/items/998/id duplicate: line 1001: is given twice: line 5 has it too`,
			`/items/998/type invalid_value: line 1001: "basik_auth" is not an authentication type (did you mean "basic_auth"?); there are ` + typeNames,
		}
		if diff := cmp.Diff(want, problemLines(err)); diff != "" || !fault.Is(err, fault.Invalid) {
			t.Errorf("dry %v: %v (-want +got):\n%s", dry, err, diff)
		}
		if got := fault.Message(err); got != "nothing was imported: 3 of 1000 rows are not valid, 4 problems" {
			t.Errorf("message %q", got)
		}
		if p := fault.ProblemsOf(err)[0]; p.Line != 501 {
			t.Errorf("line %d", p.Line)
		}
		if strings.Contains(fmt.Sprintf("%v %+v", err, problemLines(err)), "canary") {
			t.Error("a secret is in the error")
		}
	}
	if diff := cmp.Diff(before, k.all(t)); diff != "" {
		t.Errorf("a failed import changed (-want +got):\n%s", diff)
	}
	if got := k.text(t, "erp", "password"); got != "canary-Pw-1" {
		t.Errorf("a failed import changed the password to %q", got)
	}
}

func TestProblemsOfAnImportAreCut(t *testing.T) {
	t.Parallel()
	k := setup(t)
	items := strings.Repeat(`{"id": "x y", "type": "z"},`, 700)
	_, err := k.Import(t.Context(), admin, credentials.ImportOptions{}, jsonFile(t, "["+strings.TrimSuffix(items, ",")+"]"))
	lines := problemLines(err)
	if len(lines) != 1001 || lines[1000] != " more_problems: and 400 more problems" {
		t.Errorf("%d problems, the last %q", len(lines), lines[len(lines)-1])
	}
	if got := fault.Message(err); got != "nothing was imported: 700 of 700 rows are not valid, 1400 problems" {
		t.Errorf("message %q", got)
	}
}

func TestImportRefusals(t *testing.T) {
	t.Parallel()
	manager := identity.Caller{Name: "token:crm", Role: identity.CredentialManager, Folder: "/crm"}
	narrow := identity.Caller{Name: "token:sub", Role: identity.CredentialManager, Folder: "/crm/sub"}
	viewer := identity.Caller{Name: "token:view", Role: identity.Viewer, Folder: "/"}
	const fresh = `{"id": "new", "type": "no_auth"`
	tests := map[string]struct {
		caller  identity.Caller
		options credentials.ImportOptions
		items   string
		kind    fault.Kind
		want    []string // problems, or else the message
	}{
		"unknown id in an update": {admin, credentials.ImportOptions{Mode: credentials.ImportUpdate}, `[{"id": "erpp", "name": "x"}, {"name": "y"}]`, fault.Invalid, []string{
			`/items/0/id not_found: credential "erpp" does not exist; this import changes existing credentials only`,
			`/items/1/id required: is required: workflows name the credential by it, for example "y"`,
			`/items/1/type required: is required: one of ` + typeNames,
		}},
		"twice":                {admin, credentials.ImportOptions{}, `[{"id": "erp", "name": "a"}, {"id": "erp", "name": "b"}]`, fault.Invalid, []string{`/items/1/id duplicate: is given twice: /items/0 has it too`}},
		"unknown part":         {admin, credentials.ImportOptions{}, `[{"id": "erp", "namee": "x", "fields": {"pasword": "canary"}}]`, fault.Invalid, []string{`/items/0/namee unknown_field: is not part of a credential (did you mean "name"?)`, `/items/0/fields/pasword unknown_field: is not a field of basic_auth (did you mean "password"?); it has username, password, username_secret`}},
		"wrong types":          {admin, credentials.ImportOptions{}, `[{"id": "erp", "allowed_hosts": "a", "limits": {"request": 5}, "labels": {"a": 1}}, 7]`, fault.Invalid, []string{`/items/0/allowed_hosts invalid_type: must be a list of texts`, `/items/0/labels invalid_type: must be an object of texts`, `/items/0/limits invalid_type: must be an object of requests, per and concurrency`, `/items/1 invalid_type: must be an object`}},
		"other type":           {admin, credentials.ImportOptions{}, `[{"id": "erp", "type": "api_key"}]`, fault.Invalid, []string{`/items/0/type immutable: cannot change from basic_auth; create another credential instead`}},
		"outside the folder":   {admin, credentials.ImportOptions{Folder: "/crm"}, `[{"id": "erp", "name": "x"}, {"id": "crm", "folder": "/hr"}, ` + fresh + `, "folder": "/crmx"}]`, fault.Invalid, []string{`/items/0/folder outside_folder: / is outside of /crm, which this import is limited to`, `/items/1/folder outside_folder: /hr is outside of /crm, which this import is limited to`, `/items/2/folder outside_folder: /crmx is outside of /crm, which this import is limited to`}},
		"not a folder":         {admin, credentials.ImportOptions{Folder: "crm"}, `[` + fresh + `}]`, fault.Invalid, []string{`?folder invalid_value: is not a folder: write / or a path such as /partners/acme`}},
		"folder not one's own": {manager, credentials.ImportOptions{Folder: "/hr"}, `[` + fresh + `}]`, fault.Forbidden, []string{`token:crm needs the right manage_credentials in folder /hr`}},
		"only seeing":          {viewer, credentials.ImportOptions{}, `[` + fresh + `}]`, fault.Forbidden, []string{`token:view needs the right manage_credentials in folder /`}},
		"rights per row": {manager, credentials.ImportOptions{}, `[{"id": "erp", "name": "x", "type": "no_auth", "folder": "/crm"}, {"id": "crm", "folder": "/"}, ` + fresh + `}]`, fault.Invalid, []string{
			`/items/0/id exists: credential "erp" already exists`,
			`/items/1/folder forbidden: token:crm needs the right manage_credentials in folder /`,
			`/items/2/folder forbidden: token:crm needs the right manage_credentials in folder /`,
		}},
		"unseen ones do not exist for an update": {narrow, credentials.ImportOptions{Mode: credentials.ImportUpdate}, `[{"id": "crm", "name": "x"}, {"id": "erp"}]`, fault.Invalid, []string{
			`/items/0/id not_found: credential "crm" does not exist; this import changes existing credentials only`,
			`/items/1/id not_found: credential "erp" does not exist; this import changes existing credentials only`,
		}},
		"damaged":        {admin, credentials.ImportOptions{}, `[{"id": "bad", "name": "x"}]`, fault.Invalid, []string{`/items/0/id damaged: credential "bad" is ` + credentials.MessageDamaged}},
		"damaged secret": {admin, credentials.ImportOptions{}, `[{"id": "broken", "name": "x"}]`, fault.Invalid, []string{`/items/0/fields/password secret_required: the stored value is damaged: enter it again`}},
	}
	k := setup(t)
	k.create(t, erp)
	k.create(t, crm)
	k.create(t, strings.Replace(erp, `"erp"`, `"bad"`, 1))
	k.create(t, strings.Replace(erp, `"erp"`, `"broken"`, 1))
	k.exec(t, "UPDATE credentials SET details = ? WHERE id = 'bad'", []byte("{"))
	k.exec(t, "UPDATE credential_versions SET sealed = ? WHERE credential = 'broken'", []byte(`{"password": "AAAA"}`))
	before := k.all(t)
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := k.Import(t.Context(), tt.caller, tt.options, jsonFile(t, tt.items))
			got := problemLines(err)
			if got == nil {
				got = []string{fault.Message(err)}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" || fault.KindOf(err) != tt.kind {
				t.Errorf("kind %v, want %v (-want +got):\n%s", fault.KindOf(err), tt.kind, diff)
			}
		})
	}
	if diff := cmp.Diff(before, k.all(t)); diff != "" {
		t.Errorf("refused imports changed (-want +got):\n%s", diff)
	}
}

// A row that could send a stored secret somewhere new needs the secret, as any edit does.
func TestWideningByImport(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ create, row, path, secret string }{
		"allowed host":   {erp, `"allowed_hosts": ["erp.acme.kr", "evil.example"]`, "/allowed_hosts/1", `"fields": {"password": "canary-2"}`},
		"any host":       {erp, `"allowed_hosts": ["*"]`, "/allowed_hosts/0", `"fields": {"password": "canary-2"}`},
		"test URL":       {strings.Replace(erp, "erp.acme.kr", "*.acme.kr", 1), `"test_url": "https://evil.acme.kr/"`, "/test_url", `"fields": {"password": "canary-2"}`},
		"token URL":      {crm, `"fields": {"access_token_url": "https://evil.example/token"}`, "/fields/access_token_url", `"client_secret": "canary-2"`},
		"refresh URL":    {crm, `"fields": {"refresh_url": "https://evil.example/token"}`, "/fields/refresh_url", `"client_secret": "canary-2"`},
		"placement":      {crm, `"fields": {"placement": "query"}`, "/fields/placement", `"client_secret": "canary-2"`},
		"name of header": {crm, `"fields": {"header_name": "X-Log"}`, "/fields/header_name", `"client_secret": "canary-2"`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := setup(t)
			id := k.create(t, tt.create).ID
			before := k.all(t)
			_, err := k.Import(t.Context(), admin, credentials.ImportOptions{}, jsonFile(t, fmt.Sprintf(`[{"id": "fine", "type": "no_auth"}, {"id": %q, %s}]`, id, tt.row)))
			got := fault.ProblemsOf(err)
			if len(got) != 1 || got[0].Path != "/items/1"+tt.path || got[0].Code != "secret_required" {
				t.Fatalf("without the secret: %v", problemLines(err))
			}
			if diff := cmp.Diff(before, k.all(t)); diff != "" {
				t.Errorf("the refused import changed (-want +got):\n%s", diff)
			}
			row := tt.row + ", " + tt.secret
			if strings.HasPrefix(tt.row, `"fields"`) {
				row = strings.TrimSuffix(tt.row, "}") + ", " + tt.secret + "}"
			}
			if plan := k.importAll(t, credentials.ImportOptions{}, jsonFile(t, fmt.Sprintf(`[{"id": %q, %s}]`, id, row))); plan.Updated != 1 {
				t.Errorf("with the secret: %+v", plan)
			}
		})
	}
}

func TestImportIntoAFolder(t *testing.T) {
	t.Parallel()
	k := setup(t)
	k.create(t, `{"id": "deep", "type": "no_auth", "folder": "/clouds/aws/eu"}`)
	plan := k.importAll(t, credentials.ImportOptions{Folder: "/clouds/aws"}, csvFile(t, "id,type,name\ndeep,,Deep\nfresh,no_auth,\n"))
	if plan.Created != 1 || plan.Updated != 1 {
		t.Errorf("%+v", plan)
	}
	for _, c := range k.all(t) {
		if want := map[credentials.ID]string{"deep": "/clouds/aws/eu", "fresh": "/clouds/aws"}[c.ID]; c.Folder != want {
			t.Errorf("%s is in %s, want %s", c.ID, c.Folder, want)
		}
	}
}

// meddling is a real store where something happens before the transaction of an import.
type meddling struct {
	credentials.Store
	before func()
}

// ChangeAll implements credentials.Store.
func (m *meddling) ChangeAll(ctx context.Context, ids []credentials.ID, change func(map[credentials.ID]*credentials.Record, int64) ([]*credentials.Record, error)) error {
	m.before()
	return m.Store.ChangeAll(ctx, ids, change)
}

// A record that changes between the check and the transaction is checked again there.
func TestImportMeetsAnEditUnderWay(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		meanwhile func(t *testing.T, k *keep)
		problem   string
	}{
		"edited": {func(t *testing.T, k *keep) {
			t.Helper()
			k.patch(t, "erp", `{"description": "edited meanwhile", "fields": {"password": "canary-Pw-2"}}`)
		}, ""},
		"moved to new hosts": {func(t *testing.T, k *keep) {
			t.Helper()
			k.patch(t, "erp", `{"allowed_hosts": ["other.example"], "fields": {"password": "canary-Pw-2"}}`)
		}, "/items/0/allowed_hosts/0 secret_required: "},
		"deleted": {func(t *testing.T, k *keep) {
			t.Helper()
			if err := k.Delete(t.Context(), admin, "erp", false); err != nil {
				t.Error(err)
			}
		}, "/items/0/type required: "},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := setup(t)
			k.create(t, erp)
			store := sqlstore.New(k.db)
			keys, err := masterkey.Open(k.dir, "")
			if err != nil {
				t.Fatal(err)
			}
			importer, err := vault.New(vault.Options{
				Store:  &meddling{store, func() { tt.meanwhile(t, k) }},
				Tokens: store, Limits: store, Canary: store, Keyset: keys,
			})
			if err != nil {
				t.Fatal(err)
			}
			file := jsonFile(t, `[{"id": "erp", "name": "Imported", "allowed_hosts": ["erp.acme.kr"]}, {"id": "new", "type": "no_auth"}]`)
			_, err = importer.Import(t.Context(), admin, credentials.ImportOptions{}, file)
			if tt.problem != "" {
				if got := problemLines(err); len(got) == 0 || !strings.HasPrefix(got[0], tt.problem) {
					t.Errorf("%v %v", err, got)
				}
				if _, err := k.Get(t.Context(), admin, "new"); !fault.Is(err, fault.NotFound) {
					t.Errorf("the other row was imported: %v", err)
				}
				return
			}
			c, getErr := k.reopened(t).Get(t.Context(), admin, "erp")
			if err != nil || getErr != nil || c.Name != "Imported" || c.Description != "edited meanwhile" || k.reopened(t).text(t, "erp", "password") != "canary-Pw-2" {
				t.Errorf("%+v, %v, %v", c, err, getErr)
			}
		})
	}
}

func TestImportFileShowsNoSecret(t *testing.T) {
	t.Parallel()
	file := csvFile(t, "id,fields.password\nx,canary-Pw-1\n")
	if got := fmt.Sprintf("%v %+v %#v %s", file, file, file, slog.AnyValue(file).Resolve()); strings.Contains(got, "canary") || !strings.Contains(got, "{1 rows}") {
		t.Error(got)
	}
}

// URLs that are none, or that hold a password, are refused in every field that takes one, one
// by one and in an import.
func TestURLsThatAreNone(t *testing.T) {
	t.Parallel()
	k := setup(t)
	const complete = "is not a complete URL, for example https://example.com/oauth/token"
	urls := map[string]string{
		"javascript:alert(1)": complete, "javascript://login.crm.example/%0aalert(1)": complete, "data:text/html,x": complete, "file:///etc/passwd": complete,
		"//login.crm.example/token": complete, "https://": complete, "https://:443/": complete,
		"https://user@login.crm.example/": "cannot hold a user name or password", "https://user:canary@login.crm.example/": "cannot hold a user name or password",
	}
	for text, message := range urls {
		for _, field := range []string{"/fields/authorization_url", "/fields/access_token_url", "/fields/refresh_url", "/test_url"} {
			doc := decode(t, crm).(map[string]any)
			if name, ok := strings.CutPrefix(field, "/fields/"); ok {
				doc["fields"].(map[string]any)[name] = text
			} else {
				doc["test_url"] = text
			}
			_, err := k.Create(t.Context(), admin, input(t, encode(t, doc)))
			if got := problemLines(err); len(got) == 0 || got[0] != field+" invalid_value: "+message {
				t.Errorf("%s in %s: %v %v", text, field, err, got)
			}
			_, err = k.Import(t.Context(), admin, credentials.ImportOptions{}, jsonFile(t, encode(t, []any{doc})))
			if got := problemLines(err); len(got) == 0 || got[0] != "/items/0"+field+" invalid_value: "+message {
				t.Errorf("import of %s in %s: %v %v", text, field, err, got)
			}
		}
	}
	if list := k.all(t); len(list) != 0 {
		t.Errorf("created %v", list)
	}
}
