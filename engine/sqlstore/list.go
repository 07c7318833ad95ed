package sqlstore

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"gorm.io/gorm"

	"keyflow/engine/runs"
	"keyflow/engine/sqlstore/record"
	"keyflow/internal/database"
	"keyflow/internal/fault"
)

// Limits of a list page.
const (
	defaultPage = 50
	maxPage     = 500
)

// Runs implements runs.Store. The cost of a page depends on its length and, with a filter for
// workflow, folder or trigger, on the number of their origins; never on how many runs are stored.
// The exception is such a filter together with the status succeeded, which reads past the runs
// that did not succeed.
func (s *Store) Runs(ctx context.Context, f runs.Filter) ([]runs.Run, error) {
	if f.Limit == 0 {
		f.Limit = defaultPage
	}
	if f.Limit < 1 || f.Limit > maxPage {
		return nil, fault.New(fault.Invalid, "limit must be between 1 and %d", maxPage)
	}
	f.Folder = strings.TrimSuffix(f.Folder, "/") // everything is below "/"
	where, args, err := conditionsOf(&f)
	if err != nil {
		return nil, err
	}
	db := s.db.Read().WithContext(ctx)
	var rows []record.StoredRun
	if ofOrigins(&f) {
		rows, err = pageOfOrigins(db, &f, where, args)
	} else {
		rows, err = page(db, where, args, f.Limit)
	}
	if err != nil {
		return nil, database.Translate(err, "runs")
	}
	list := make([]runs.Run, 0, len(rows))
	for i := range rows {
		if record.IsBlob(rows[i].Payloads.Failure) {
			rows[i].Payloads.Failure = nil // too long for a list
		}
		run, err := s.codec.Run(&rows[i], nil)
		if err != nil { // in its error, the only payload of a list
			run.Error = runs.DamagedRun()
		}
		list = append(list, run)
	}
	return list, nil
}

// ofOrigins reports whether the filter excludes some origins.
func ofOrigins(f *runs.Filter) bool {
	return f.Workflow != "" || f.Folder != "" || f.Trigger != ""
}

// conditionsOf returns the conditions on runs that do not concern their origin.
func conditionsOf(f *runs.Filter) (where string, args []any, err error) {
	conditions := []string{"1 = 1"}
	add := func(condition string, values ...any) {
		conditions = append(conditions, condition)
		args = append(args, values...)
	}
	if f.Before != (runs.ID{}) {
		add("r.id < ?", f.Before[:])
	}
	if !f.Since.IsZero() {
		add("r.id >= ?", record.FirstID(f.Since.UnixMilli()))
		add("r.created_at >= ?", f.Since.UnixMicro())
	}
	if !f.Until.IsZero() {
		add("r.id < ?", record.FirstID(f.Until.UnixMilli()+1))
		add("r.created_at < ?", f.Until.UnixMicro())
	}
	if f.Status == "" {
		return strings.Join(conditions, " AND "), args, nil
	}
	n := record.RunNumber(f.Status)
	switch n {
	case 0:
		return "", nil, fault.New(fault.Invalid, "unknown status %q", f.Status)
	case record.RunRunning:
		add("r.owner IS NOT NULL")
	case record.RunSucceeded:
	default: // written as in the partial index, so that it is used
		if ofOrigins(f) {
			add("r.status <> 2 AND r.status <> 4")
		} else {
			add("r.status IN (1, 3, 5, 6)")
		}
	}
	add(fmt.Sprintf("r.status = %d", n)) // a literal: the planner matches partial indexes with it
	return strings.Join(conditions, " AND "), args, nil
}

func page(db *gorm.DB, where string, args []any, limit int) (rows []record.StoredRun, err error) {
	query := "SELECT " + headColumns + fromRuns + " WHERE " + where + " ORDER BY r.id DESC LIMIT ?"
	return rows, db.Raw(query, append(slices.Clip(args), limit)...).Scan(&rows).Error
}

// pageOfOrigins merges the newest runs of each matching origin. Only the origins with the newest
// runs can be part of the page; the index has the first runs of each.
func pageOfOrigins(db *gorm.DB, f *runs.Filter, where string, args []any) ([]record.StoredRun, error) {
	origins, err := newestOrigins(db, f, where, args)
	if err != nil || len(origins) == 0 {
		return nil, err
	}
	var values []any
	parts := make([]string, len(origins))
	for i, origin := range origins {
		parts[i] = "SELECT id FROM (SELECT r.id FROM runs r WHERE r.origin = ? AND " + where + " ORDER BY r.id DESC LIMIT ?) t"
		values = append(append(append(values, origin), args...), f.Limit)
	}
	var ids [][]byte
	query := "SELECT id FROM (" + strings.Join(parts, " UNION ALL ") + ") t ORDER BY id DESC LIMIT ?"
	if err := db.Raw(query, append(values, f.Limit)...).Scan(&ids).Error; err != nil {
		return nil, err
	}
	return page(db, "r.id IN ?", []any{ids}, f.Limit)
}

// newestOrigins returns the matching origins that have a matching run: those with the newest runs,
// at most as many as the page has rows.
func newestOrigins(db *gorm.DB, f *runs.Filter, where string, args []any) ([]int64, error) {
	conditions, values := []string{"1 = 1"}, slices.Clip(args)
	if f.Workflow != "" {
		conditions, values = append(conditions, "o.workflow = ?"), append(values, string(f.Workflow))
	}
	if f.Trigger != "" {
		conditions, values = append(conditions, "o.trigger_id = ?"), append(values, f.Trigger)
	}
	if f.Folder != "" {
		below := f.Folder + "/" // not with <, which depends on the database's collation
		conditions = append(conditions, "(o.folder = ? OR substr(o.folder, 1, ?) = ?)")
		values = append(values, f.Folder, utf8.RuneCountInString(below), below)
	}
	var tops []int64
	err := db.Raw(`SELECT origin FROM (SELECT o.id AS origin, (SELECT r.id FROM runs r WHERE r.origin = o.id AND `+where+`
		ORDER BY r.id DESC LIMIT 1) AS top FROM origins o WHERE `+strings.Join(conditions, " AND ")+`) t
		WHERE top IS NOT NULL ORDER BY top DESC LIMIT ?`, append(values, f.Limit)...).Scan(&tops).Error
	return tops, err
}
