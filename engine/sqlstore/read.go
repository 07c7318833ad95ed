package sqlstore

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"gorm.io/gorm"

	"keyflow/engine/runs"
	"keyflow/engine/sqlstore/record"
	"keyflow/internal/database"
	"keyflow/workflows"
)

type storedSignal struct {
	ID, Run []byte
	Seq     int64
	Kind    string
	Data    []byte
}

const (
	headColumns = "r.id, r.owner, r.retry_of, o.workflow, o.folder, o.trigger_id, o.trigger_type, r.version, r.depth, r.status, " +
		"r.fence, r.due_at, r.created_at AS made_at, r.fired_at, r.scheduled_at, r.started_at, r.finished_at, r.cancel_requested, r.failure"
	fullColumns = headColumns + ", r.cause, r.input, r.output"
	fromRuns    = " FROM runs r JOIN origins o ON o.id = r.origin"

	readStepColumns = "s.run, n.name AS node, s.idx, s.status, s.started_at, s.finished_at, s.due_at, s.failure, s.detail, s.output, " +
		"s.hold, s.sealed, c.name AS credential"
	fromSteps = " FROM steps s JOIN node_names n ON n.id = s.node LEFT JOIN credential_names c ON c.id = s.credential"
)

// Run implements runs.Store.
func (s *Store) Run(ctx context.Context, id runs.ID) (runs.Run, error) {
	db := s.db.Read().WithContext(ctx)
	var row record.StoredRun
	if err := db.Raw("SELECT "+fullColumns+fromRuns+" WHERE r.id = ?", id[:]).Take(&row).Error; err != nil {
		return runs.Run{}, database.Translate(err, "run "+id.String())
	}
	blobs := record.BlobSet{}
	if row.Payloads.HasBlobs() {
		var err error
		if blobs, err = readBlobs(db, []runs.ID{id}); err != nil {
			return runs.Run{}, err
		}
	}
	run, err := s.codec.Run(&row, blobs[id])
	if err != nil {
		err = runs.Damaged(id, err)
	}
	return run, err
}

// Steps implements runs.Store. The steps are in the order in which they began; those that have not
// begun are last.
func (s *Store) Steps(ctx context.Context, id runs.ID) ([]runs.Step, error) {
	var l runs.Loaded
	if err := s.readSteps(s.db.Read().WithContext(ctx), map[runs.ID]*runs.Loaded{id: &l}); err != nil {
		return nil, err
	}
	if l.Err != nil {
		return l.Steps, runs.Damaged(id, l.Err)
	}
	return l.Steps, nil
}

// readSteps adds their steps to loaded runs. A damaged step is an error of its run alone.
func (s *Store) readSteps(db *gorm.DB, loaded map[runs.ID]*runs.Loaded) error {
	ids := slices.Collect(maps.Keys(loaded))
	var rows []record.StoredStep
	err := db.Raw("SELECT "+readStepColumns+fromSteps+" WHERE s.run IN ?", keys(ids)).Scan(&rows).Error
	if err != nil {
		return database.Translate(err, "steps")
	}
	blobs := record.BlobSet{}
	if slices.ContainsFunc(rows, func(r record.StoredStep) bool { return slices.ContainsFunc(r.Payloads(), record.IsBlob) }) {
		if blobs, err = readBlobs(db, ids); err != nil {
			return err
		}
	}
	for i := range rows {
		id := runs.ID(rows[i].Run)
		l := loaded[id]
		step, err := s.codec.Step(&rows[i], blobs[id])
		if err != nil {
			l.Err = cmp.Or(l.Err, fmt.Errorf("read step %s of run %s: %w", rows[i].Node, id, err))
			step.Error = runs.DamagedStep()
		}
		l.Steps = append(l.Steps, step)
	}
	for _, l := range loaded {
		slices.SortFunc(l.Steps, compareSteps)
	}
	return nil
}

func compareSteps(a, b runs.Step) int {
	switch {
	case a.StartedAt != nil && b.StartedAt != nil:
		if c := a.StartedAt.Compare(*b.StartedAt); c != 0 {
			return c
		}
	case a.StartedAt != nil:
		return -1
	case b.StartedAt != nil:
		return 1
	}
	if a.Node != b.Node {
		return bytes.Compare([]byte(a.Node), []byte(b.Node))
	}
	return a.Index - b.Index
}

// Signals implements runs.Store.
func (s *Store) Signals(ctx context.Context, owner runs.OwnerID) ([]runs.Signal, error) {
	var rows []storedSignal
	err := s.db.Read().WithContext(ctx).Raw(`SELECT s.id, s.run, s.seq, s.kind, s.data FROM signals s JOIN runs r ON r.id = s.run
		WHERE r.owner = ? ORDER BY s.seq`, owner[:]).Scan(&rows).Error
	if err != nil {
		return nil, database.Translate(err, "signals")
	}
	return signalsOf(rows), nil
}

func signalsOf(rows []storedSignal) []runs.Signal {
	signals := make([]runs.Signal, len(rows))
	for i, row := range rows {
		signals[i] = runs.Signal{ID: [16]byte(row.ID), Run: runs.ID(row.Run), Seq: row.Seq, Kind: row.Kind, Data: row.Data}
	}
	return signals
}

// Due implements runs.Store.
func (s *Store) Due(ctx context.Context, now time.Time, limit int) ([]runs.DueRun, error) {
	var rows []struct {
		ID       []byte
		Workflow string
	}
	err := s.db.Read().WithContext(ctx).Raw(`SELECT r.id, o.workflow FROM runs r JOIN origins o ON o.id = r.origin
		WHERE r.owner IS NULL AND r.due_at IS NOT NULL AND r.due_at <= ? ORDER BY r.due_at, r.id LIMIT ?`,
		now.UnixMicro(), limit).Scan(&rows).Error
	if err != nil {
		return nil, database.Translate(err, "due runs")
	}
	due := make([]runs.DueRun, len(rows))
	for i, row := range rows {
		due[i] = runs.DueRun{Run: runs.ID(row.ID), Workflow: workflows.ID(row.Workflow)}
	}
	return due, nil
}

// load reads runs with everything that their owner needs to execute them. The error is that of the
// database; damage of one run is in its Err.
func (s *Store) load(ctx context.Context, ids []runs.ID) (map[runs.ID]*runs.Loaded, error) {
	db := s.db.Read().WithContext(ctx)
	var rows []record.StoredRun
	if err := db.Raw("SELECT "+fullColumns+fromRuns+" WHERE r.id IN ?", keys(ids)).Scan(&rows).Error; err != nil {
		return nil, err
	}
	blobs, err := readBlobs(db, ids)
	if err != nil {
		return nil, err
	}
	loaded := make(map[runs.ID]*runs.Loaded, len(rows))
	for i := range rows {
		id := runs.ID(rows[i].ID)
		run, err := s.codec.Run(&rows[i], blobs[id])
		loaded[id] = &runs.Loaded{Run: run, Err: err}
	}
	if err := s.readSteps(db, loaded); err != nil {
		return nil, err
	}
	var signals []storedSignal
	if err := db.Raw("SELECT id, run, seq, kind, data FROM signals WHERE run IN ? ORDER BY seq", keys(ids)).Scan(&signals).Error; err != nil {
		return nil, err
	}
	for _, signal := range signalsOf(signals) {
		if l := loaded[signal.Run]; l != nil {
			l.Signals = append(l.Signals, signal)
		}
	}
	return loaded, nil
}

func readBlobs(db *gorm.DB, ids []runs.ID) (record.BlobSet, error) {
	var rows []record.StoredBlob
	if err := db.Raw("SELECT run, hash, data FROM blobs WHERE run IN ?", keys(ids)).Scan(&rows).Error; err != nil {
		return nil, database.Translate(err, "stored values")
	}
	set := record.BlobSet{}
	for _, row := range rows {
		id := runs.ID(row.Run)
		if set[id] == nil {
			set[id] = map[[16]byte][]byte{}
		}
		set[id][[16]byte(row.Hash)] = row.Data
	}
	return set, nil
}

// keys returns ids as column values.
func keys(ids []runs.ID) [][]byte {
	return column(ids, func(id runs.ID) []byte { return id[:] })
}

// Answer implements runs.Store.
func (s *Store) Answer(ctx context.Context, id runs.ID) (*runs.Answer, error) {
	db := s.db.Read().WithContext(ctx)
	var found [][]byte
	if err := db.Raw("SELECT data FROM answers WHERE run = ?", id[:]).Scan(&found).Error; err != nil || len(found) == 0 {
		return nil, database.Translate(err, "answer")
	}
	data := found[0]
	blobs := record.BlobSet{}
	if record.IsBlob(data) {
		var err error
		if blobs, err = readBlobs(db, []runs.ID{id}); err != nil {
			return nil, err
		}
	}
	answer := &runs.Answer{}
	if err := s.codec.UnpackJSON(data, blobs[id], answer); err != nil {
		return nil, fmt.Errorf("answer of run %s: %w", id, err)
	}
	return answer, nil
}
