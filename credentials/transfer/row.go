package transfer

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"keyflow/credentials"
	"keyflow/credentials/authtype"
	"keyflow/credentials/document"
	"keyflow/credentials/internal/decrypted"
	"keyflow/credentials/internal/editing"
	"keyflow/credentials/internal/problem"
	"keyflow/internal/fault"
	"keyflow/internal/identity"
	"keyflow/internal/jsonvalue"
)

// checkRow joins row n with the record of its id, nil without one.
func (m *importing) checkRow(n int, was *credentials.Record) (c checkedRow) {
	row := &m.file.rows[n]
	found := &problem.List{Items: slices.Clone(row.wrong.Items)}
	id := row.id()
	if first, ok := m.first[id]; ok && first != n {
		found.Add("/id", problem.Duplicate, fmt.Sprintf("is given twice: %s has it too", m.file.rows[first].place(first)))
	}
	switch {
	case was != nil && m.caller.May(identity.View, was.Folder):
		m.update(row, was, &c, found)
	case m.options.Mode == credentials.ImportUpdate && id != "":
		found.Add("/id", problem.NotFound, fmt.Sprintf("credential %q does not exist; this import changes existing credentials only", id))
	default:
		m.create(row, &c, found)
		if was != nil {
			found.Add("/id", problem.Exists, fmt.Sprintf("credential %q already exists", id))
		}
	}
	if c.next != nil && len(found.Items) == 0 {
		c.item = m.importer.item(c.old, c.next, row)
	}
	c.wrong = row.located(n, found.Items)
	return c
}

// place names a row for people.
func (r *importRow) place(n int) string {
	if r.line > 0 {
		return fmt.Sprintf("line %d", r.line)
	}
	return fmt.Sprintf("/items/%d", n)
}

// located gives problems of row n their path in the whole and their line.
func (r *importRow) located(n int, list []fault.Problem) []fault.Problem {
	for i := range list {
		p := &list[i]
		p.Path = fmt.Sprintf("/items/%d", n) + p.Path
		if r.line > 0 {
			p.Line, p.Message = r.line, fmt.Sprintf("line %d: %s", r.line, p.Message)
		}
	}
	return list
}

func (m *importing) create(row *importRow, c *checkedRow, found *problem.List) {
	if row.doc == nil {
		return
	}
	doc := maps.Clone(row.doc)
	if doc["folder"] == nil && m.options.Folder != "" {
		doc["folder"] = m.options.Folder
	}
	name, _ := doc["type"].(string)
	in := m.input(row, authtype.Named(credentials.TypeName(name)), doc, found)
	e := m.importer.Editor.Check(m.caller, in)
	if e.Typ != nil {
		c.next = e.Merge(nil)
	}
	found.AddNew(e.Items)
	m.checkPlace(e.In.Folder, found)
}

func (m *importing) update(row *importRow, was *credentials.Record, c *checkedRow, found *problem.List) {
	if err := m.caller.Require(identity.ManageCredentials, was.Folder); err != nil {
		found.Add("/id", problem.Forbidden, fault.Message(err))
		return
	}
	old, err := m.importer.Reader.Current(*was)
	if err != nil {
		found.Add("/id", problem.Damaged, fault.Message(err))
		return
	}
	doc, err := document.Patched(old.Credential, row.changes(old.Decrypted.AuthType, found))
	if err != nil {
		found.Add("/id", problem.Damaged, "cannot be changed: "+credentials.MessageDamaged)
		return
	}
	in, wrong := document.ReadParts(doc)
	found.AddNew(wrong.Items)
	c.old = old
	c.next, err = m.importer.Editor.Compose(m.caller, old, in)
	found.AddNew(fault.ProblemsOf(err))
	m.checkPlace(old.Folder, found)
	if c.next.Folder != old.Folder {
		m.checkPlace(c.next.Folder, found)
	}
}

// input reads the row of a new credential.
func (m *importing) input(row *importRow, typ *authtype.Type, doc map[string]any, found *problem.List) credentials.Input {
	if fields := row.changes(typ, found)["fields"]; fields != nil {
		doc["fields"] = fields
	}
	in, wrong := document.ReadParts(doc)
	found.AddNew(wrong.Items)
	return in
}

// checkPlace checks the right in a folder, and that the import is meant for it.
func (m *importing) checkPlace(folder string, found *problem.List) {
	if root := m.options.Folder; root != "" && !inFolder(folder, root) {
		found.AddNew([]fault.Problem{{Path: "/folder", Code: problem.OutsideFolder, Message: fmt.Sprintf("%s is outside of %s, which this import is limited to", folder, root)}})
	}
	if err := m.caller.Require(identity.ManageCredentials, folder); err != nil {
		found.AddNew([]fault.Problem{{Path: "/folder", Code: problem.Forbidden, Message: fault.Message(err)}})
	}
}

// changes is the row's patch with the values of fields in the form that their kind has. Cells
// are texts: of a boolean field they say true or false, of a map they hold JSON.
func (r *importRow) changes(typ *authtype.Type, found *problem.List) map[string]any {
	fields, ok := r.doc["fields"].(map[string]any)
	if !r.cells || !ok || typ == nil {
		return r.doc
	}
	read := make(map[string]any, len(fields))
	for name, value := range fields {
		read[name] = value
		text, ok := value.(string)
		f := typ.Field(name)
		switch {
		case !ok || f == nil:
		case referenceCell(f, text) != nil:
			read[name] = referenceCell(f, text)
		case f.Kind == authtype.KindBoolean && strings.EqualFold(text, "true"):
			read[name] = true
		case f.Kind == authtype.KindBoolean && strings.EqualFold(text, "false"):
			read[name] = false
		case f.Kind == authtype.KindMap:
			v, err := jsonvalue.DecodeStrict([]byte(text))
			if _, isObject := v.(map[string]any); err != nil || !isObject {
				found.Add(problem.Pointer("fields", name), problem.InvalidType, `must be a JSON object of texts, for example {"audience": "api"}`)
				delete(read, name)
				continue
			}
			read[name] = v
		}
	}
	doc := maps.Clone(r.doc)
	doc["fields"] = read
	return doc
}

// referenceCell reads a cell of a secret field that holds a reference as JSON; nil is none.
func referenceCell(f *authtype.Field, text string) map[string]any {
	if !f.Secret && f.SecretIf == "" || !strings.HasPrefix(text, "{") {
		return nil
	}
	v, err := jsonvalue.DecodeStrict([]byte(text))
	if err != nil {
		return nil
	}
	if _, ok := editing.GivenReference(f, v); !ok {
		return nil
	}
	m, _ := v.(map[string]any)
	return m
}

// item says what becomes of a row without problems.
func (im *Importer) item(old *decrypted.Current, next *decrypted.Credential, row *importRow) credentials.ImportItem {
	it := credentials.ImportItem{ID: next.ID, Action: credentials.ActionCreate, Changed: []string{}}
	if old == nil {
		for name, value := range row.doc {
			if fields, ok := value.(map[string]any); ok && name == "fields" {
				for field := range fields {
					it.Changed = append(it.Changed, "fields."+field)
				}
			} else if name != "id" && !slices.Contains(document.ReadOnly(), name) {
				it.Changed = append(it.Changed, name)
			}
		}
		slices.Sort(it.Changed)
		return it
	}
	it.Changed = im.changedParts(old, next)
	it.Action = credentials.ActionUpdate
	if len(it.Changed) == 0 && len(old.Broken) == 0 {
		it.Action = credentials.ActionUnchanged
	}
	return it
}

// changedParts names the parts in which two states of a credential differ, in order.
func (im *Importer) changedParts(old *decrypted.Current, next *decrypted.Credential) []string {
	changed := []string{}
	was, is := document.InputOf(decrypted.Complete(old.Credential)), document.InputOf(decrypted.Complete(next.Credential))
	before, after := document.Parts(&was), document.Parts(&is)
	for name := range before {
		if name != "fields" && !sameJSON(before[name].Target, after[name].Target) {
			changed = append(changed, name)
		}
	}
	for _, f := range next.AuthType.Fields {
		if !old.Decrypted.Secret[f.Name].Equal(next.Secret[f.Name]) || old.Decrypted.Refs[f.Name] != next.Refs[f.Name] || !sameJSON(was.Fields[f.Name], is.Fields[f.Name]) {
			changed = append(changed, "fields."+f.Name)
		}
	}
	slices.Sort(changed)
	return changed
}

// sameJSON reports whether two values are stored alike.
func sameJSON(a, b any) bool {
	before, err := jsonvalue.Encode(a)
	if err != nil {
		return false
	}
	after, err := jsonvalue.Encode(b)
	return err == nil && bytes.Equal(before, after)
}
