package sqlstore

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"gorm.io/gorm"

	"keyflow/credentials"
	"keyflow/engine/runs"
	"keyflow/engine/sqlstore/record"
	"keyflow/internal/database"
	"keyflow/internal/fault"
	"keyflow/workflows"
)

// useCursor is the position after which a page of uses begins: a call of a step.
type useCursor struct {
	run  runs.ID
	node int64
	idx  int
	call int
}

func (p useCursor) String() string { return fmt.Sprintf("%s.%d.%d.%d", p.run, p.node, p.idx, p.call) }

func parseCursor(text string) (p useCursor, err error) {
	id, rest, _ := strings.Cut(text, ".")
	if err = p.run.UnmarshalText([]byte(id)); err == nil {
		var n int
		if n, err = fmt.Sscanf(rest, "%d.%d.%d", &p.node, &p.idx, &p.call); err == nil && n == 3 && p.String() == text {
			return p, nil
		}
	}
	return p, fault.Problems("the cursor is not one of this list", []fault.Problem{{
		Path: "/cursor", Code: "invalid_value", Message: "must be next_cursor of the page before",
	}})
}

// storedUse is a step that used a credential, with the workflow of its run.
type storedUse struct {
	Step       record.StoredStep `gorm:"embedded"`
	NodeNumber int64
	Workflow   string
}

// Uses lists calls with a credential, newest runs first; within a run, steps and calls in reverse
// order. The cost of a page depends on its length and, with a folder, on how many uses in other
// folders it skips. Errors: Invalid for a cursor of another list.
func (s *Store) Uses(ctx context.Context, f runs.UseFilter) ([]runs.CredentialUse, error) {
	if f.Limit == 0 {
		f.Limit = defaultPage
	}
	if f.Limit < 0 || f.Limit > maxPage {
		return nil, fault.New(fault.Invalid, "limit must be between 1 and %d", maxPage)
	}
	var after *useCursor
	if f.After != "" {
		place, err := parseCursor(f.After)
		if err != nil {
			return nil, err
		}
		after = &place
	}
	db := s.db.Read().WithContext(ctx)
	rows, err := usedSteps(db, &f, after)
	if err != nil {
		return nil, database.Translate(err, "uses of credential "+string(f.Credential))
	}
	blobs, err := blobsOfUses(db, rows)
	if err != nil {
		return nil, err
	}
	uses := make([]runs.CredentialUse, 0, f.Limit)
	for i := range rows {
		row := &rows[i]
		row.Step.Credential = string(f.Credential)
		step, err := s.codec.Step(&row.Step, blobs[runs.ID(row.Step.Run)])
		if err != nil {
			return nil, fmt.Errorf("read step %s of run %s: %w", row.Step.Node, runs.ID(row.Step.Run), err)
		}
		for _, use := range usesOf(row, &step, after) {
			if len(uses) < f.Limit {
				uses = append(uses, use)
			}
		}
	}
	return uses, nil
}

// usedSteps reads as many steps as a page can need. Each has a call, except possibly the first,
// whose calls may all be on an earlier page.
func usedSteps(db *gorm.DB, f *runs.UseFilter, after *useCursor) (rows []storedUse, err error) {
	conditions, args := []string{"s.credential = (SELECT id FROM credential_names WHERE name = ?)"}, []any{string(f.Credential)}
	if after != nil {
		// The space keeps gorm from reading the id, behind a parenthesis, as a list of numbers.
		conditions = append(conditions, "(s.run, s.node, s.idx) <= ( ?, ?, ?)")
		args = append(args, after.run[:], after.node, after.idx)
	}
	if folder := strings.TrimSuffix(f.Folder, "/"); folder != "" {
		below := folder + "/"
		conditions = append(conditions, "(o.folder = ? OR substr(o.folder, 1, ?) = ?)")
		args = append(args, folder, utf8.RuneCountInString(below), below)
	}
	query := `SELECT s.run, s.node AS node_number, n.name AS node, s.idx, s.status, s.started_at, s.finished_at, s.detail, o.workflow
		FROM steps s JOIN node_names n ON n.id = s.node JOIN runs r ON r.id = s.run JOIN origins o ON o.id = r.origin
		WHERE ` + strings.Join(conditions, " AND ") + " ORDER BY s.run DESC, s.node DESC, s.idx DESC LIMIT ?"
	return rows, db.Raw(query, append(args, f.Limit+1)...).Scan(&rows).Error
}

func blobsOfUses(db *gorm.DB, rows []storedUse) (record.BlobSet, error) {
	var ids []runs.ID
	for i := range rows {
		if id := runs.ID(rows[i].Step.Run); record.IsBlob(rows[i].Step.Detail) && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	return readBlobs(db, ids)
}

// usesOf returns the calls of a step with the credential, the last first.
func usesOf(row *storedUse, step *runs.Step, after *useCursor) []runs.CredentialUse {
	var uses []runs.CredentialUse
	place := useCursor{run: runs.ID(row.Step.Run), node: row.NodeNumber, idx: row.Step.Idx}
	last := len(step.Calls)
	if after != nil && after.run == place.run && after.node == place.node && after.idx == place.idx {
		last = min(last, after.call)
	}
	for i := last - 1; i >= 0; i-- {
		if step.Calls[i].Credential != credentials.ID(row.Step.Credential) {
			continue
		}
		place.call = i
		uses = append(uses, runs.CredentialUse{
			Cursor: place.String(), Run: place.run, Workflow: workflows.ID(row.Workflow), Node: step.Node, Index: step.Index,
			At: calledAt(step, i), Call: step.Calls[i],
		})
	}
	return uses
}

// calledAt returns when the attempt that made a call began: the first attempt whose last request is
// that call or a later one.
func calledAt(step *runs.Step, call int) time.Time {
	for i := range step.Attempts {
		a := &step.Attempts[i]
		if a.Request != nil && record.LastCall(a.Request, step.Calls) > call {
			return a.StartedAt
		}
	}
	return record.Time(record.Micros(step.StartedAt))
}
