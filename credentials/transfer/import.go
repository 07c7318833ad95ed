// Package transfer moves many credentials at once: it reads them from JSON or CSV, plans and makes
// the edits in one transaction, all or none, and exports credentials without their secrets.
package transfer

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"keyflow/credentials"
	"keyflow/credentials/internal/editing"
	"keyflow/credentials/internal/problem"
	"keyflow/credentials/internal/reach"
	"keyflow/internal/fault"
	"keyflow/internal/identity"
)

// maxProblems is how many problems one import lists.
const maxProblems = 1000

// Import creates and changes many credentials, all or none, in one transaction. A row changes
// what it names and leaves the rest, like Patch; a row that changes nothing makes no edit.
// Errors: Invalid with the problems of all rows (path "/items/<row>/…", the first 1,000),
// Forbidden when the caller may manage nothing there.
func (im *Importer) Import(ctx context.Context, caller identity.Caller, o credentials.ImportOptions, file File) (credentials.ImportPlan, error) {
	if o.Folder != "" {
		if err := reach.CheckFolder(o.Folder); err != nil {
			return credentials.ImportPlan{}, fault.Problems("the folder is not valid", []fault.Problem{{Path: "?folder", Code: problem.InvalidValue, Message: err.Error()}})
		}
	}
	if err := caller.Require(identity.ManageCredentials, cmp.Or(o.Folder, caller.Folder)); err != nil {
		return credentials.ImportPlan{}, err
	}
	rows := newImporting(im, caller, o, file)
	old, err := rows.read(ctx)
	if err == nil {
		err = rows.check(old)
	}
	if err != nil {
		return credentials.ImportPlan{}, err
	}
	if plan := rows.plan(); o.DryRun || plan.Created+plan.Updated == 0 {
		return plan, nil
	}
	err = im.Records.ChangeAll(ctx, rows.ids, rows.records)
	for _, id := range rows.ids { // before the edits count as done (promise P1)
		im.Reader.Changed(id)
	}
	if err != nil {
		return credentials.ImportPlan{}, err
	}
	for n := range rows.checked {
		if c := &rows.checked[n]; c.old != nil && c.stored != nil && c.old.State.NeedsPerson() && !c.stored.State.NeedsPerson() {
			im.Connected(c.item.ID)
		}
	}
	im.Plan()
	return rows.plan(), nil
}

func (m *importing) read(ctx context.Context) (map[credentials.ID]*credentials.Record, error) {
	if len(m.ids) == 0 {
		return nil, nil
	}
	list, err := m.importer.Records.List(ctx, credentials.Filter{IDs: m.ids})
	old := make(map[credentials.ID]*credentials.Record, len(list))
	for i := range list {
		old[list[i].ID] = &list[i]
	}
	return old, err
}

// check checks the rows whose record is not the one they were checked against.
func (m *importing) check(old map[credentials.ID]*credentials.Record) error {
	for n := range m.file.rows {
		was := old[m.file.rows[n].id()]
		revision := int64(0)
		if was != nil {
			revision = was.Revision
		}
		c := &m.checked[n]
		if c.against != revision {
			*c = m.checkRow(n, was)
			c.against = revision
		} else if c.old != nil {
			c.old.Record = *was // its state may be another
		}
	}
	return m.err()
}

// err is what is wrong with all rows.
func (m *importing) err() error {
	list := m.file.wrong[:len(m.file.wrong):len(m.file.wrong)]
	bad := 0
	for n := range m.checked {
		if len(m.checked[n].wrong) > 0 {
			bad++
		}
		list = append(list, m.checked[n].wrong...)
	}
	total := len(list)
	if total == 0 {
		return nil
	}
	if total > maxProblems {
		list = append(list[:maxProblems], fault.Problem{Code: problem.More, Message: fmt.Sprintf("and %d more problems", total-maxProblems)})
	}
	return fault.Problems(fmt.Sprintf("nothing was imported: %d of %d rows are not valid, %d problems", bad, len(m.checked), total), list)
}

func (m *importing) plan() credentials.ImportPlan {
	p := credentials.ImportPlan{DryRun: m.options.DryRun, Items: make([]credentials.ImportItem, len(m.checked))}
	for n := range m.checked {
		p.Items[n] = m.checked[n].item
		switch p.Items[n].Action {
		case credentials.ActionCreate:
			p.Created++
		case credentials.ActionUpdate:
			p.Updated++
		case credentials.ActionUnchanged:
			p.Unchanged++
		}
	}
	return p
}

// records makes what is stored, in the transaction. Without problems each row has an id of its
// own, so that ids and rows go together.
func (m *importing) records(old map[credentials.ID]*credentials.Record, first int64) ([]*credentials.Record, error) {
	if err := m.check(old); err != nil {
		return nil, err
	}
	var list []*credentials.Record
	now := credentials.Moment(m.importer.Now())
	for n := range m.checked {
		c := &m.checked[n]
		if c.stored = nil; c.item.Action == credentials.ActionUnchanged {
			continue
		}
		r, err := m.importer.Editor.Record(c.old, c.next, editing.Author{Name: m.caller.Name, At: now, Revision: first + int64(n), Origin: credentials.OriginImport})
		if err == nil {
			err = m.importer.Sealer.Bind(r)
		}
		if err != nil {
			return nil, err
		}
		c.stored = r
		list = append(list, r)
	}
	return list, nil
}

// inFolder reports whether folder is root or below it.
func inFolder(folder, root string) bool {
	return root == "/" || folder == root || strings.HasPrefix(folder, root+"/")
}
