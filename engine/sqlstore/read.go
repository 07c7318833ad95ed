package sqlstore

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"gorm.io/gorm"

	"keyflow/credentials"
	"keyflow/engine/runs"
	"keyflow/internal/database"
	"keyflow/workflows"
)

// storedRun is a row of runs joined with its origin. NULL times are 0.
type storedRun struct {
	ID, Owner, RetryOf                       []byte
	Workflow, Folder, TriggerID, TriggerType string
	Version, Depth                           int
	Status                                   int16
	Fence, DueAt                             int64
	MadeAt, FiredAt, ScheduledAt             int64
	StartedAt, FinishedAt                    int64
	CancelRequested                          int16
	Failure, Cause, Input, Output            []byte
}

// storedStep is a row of steps joined with the names of its node and credential. NULL times are 0.
type storedStep struct {
	Run                          []byte
	Node, Credential             string
	Idx                          int
	Status                       int16
	StartedAt, FinishedAt, DueAt int64
	Failure, Detail, Output      []byte
	Hold                         string
	Sealed                       []byte
}

func (r *storedStep) payloads() [][]byte { return [][]byte{r.Failure, r.Detail, r.Output, r.Sealed} }

type storedSignal struct {
	ID, Run []byte
	Seq     int64
	Kind    string
	Data    []byte
}

type storedBlob struct {
	Run, Hash, Data []byte
}

// blobSet holds blobs by run and hash.
type blobSet map[runs.ID]map[[16]byte][]byte

const (
	headColumns = "r.id, r.owner, r.retry_of, o.workflow, o.folder, o.trigger_id, o.trigger_type, r.version, r.depth, r.status, " +
		"r.fence, r.due_at, r.created_at AS made_at, r.fired_at, r.scheduled_at, r.started_at, r.finished_at, r.cancel_requested, r.failure"
	fullColumns = headColumns + ", r.cause, r.input, r.output"
	fromRuns    = " FROM runs r JOIN origins o ON o.id = r.origin"

	readStepColumns = "s.run, n.name AS node, s.idx, s.status, s.started_at, s.finished_at, s.due_at, s.failure, s.detail, s.output, " +
		"s.hold, s.sealed, c.name AS credential"
	fromSteps = " FROM steps s JOIN node_names n ON n.id = s.node LEFT JOIN credential_names c ON c.id = s.credential"
)

// Run implements engine.Store.
func (s *Store) Run(ctx context.Context, id runs.ID) (runs.Run, error) {
	db := s.db.Read().WithContext(ctx)
	var row storedRun
	if err := db.Raw("SELECT "+fullColumns+fromRuns+" WHERE r.id = ?", id[:]).Take(&row).Error; err != nil {
		return runs.Run{}, database.Translate(err, "run "+id.String())
	}
	blobs := blobSet{}
	if isBlob(row.Failure) || isBlob(row.Cause) || isBlob(row.Input) || isBlob(row.Output) {
		var err error
		if blobs, err = readBlobs(db, []runs.ID{id}); err != nil {
			return runs.Run{}, err
		}
	}
	run, err := s.codec.run(&row, blobs[id])
	if err != nil {
		err = runs.Damaged(id, err)
	}
	return run, err
}

// Steps implements engine.Store. The steps come in the order in which they began, those
// that have not begun last.
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

// readSteps adds to runs their steps. A damaged step is an error of its run alone.
func (s *Store) readSteps(db *gorm.DB, loaded map[runs.ID]*runs.Loaded) error {
	ids := slices.Collect(maps.Keys(loaded))
	var rows []storedStep
	err := db.Raw("SELECT "+readStepColumns+fromSteps+" WHERE s.run IN ?", keys(ids)).Scan(&rows).Error
	if err != nil {
		return database.Translate(err, "steps")
	}
	blobs := blobSet{}
	if slices.ContainsFunc(rows, func(r storedStep) bool { return slices.ContainsFunc(r.payloads(), isBlob) }) {
		if blobs, err = readBlobs(db, ids); err != nil {
			return err
		}
	}
	for i := range rows {
		id := runs.ID(rows[i].Run)
		l := loaded[id]
		step, err := s.codec.step(&rows[i], blobs[id])
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

// Signals implements engine.Store.
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

// Due implements engine.Store.
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

// load reads runs with all that their owner needs to go on. The error is that of the database;
// what is wrong with one run is in its Err.
func (s *Store) load(ctx context.Context, ids []runs.ID) (map[runs.ID]*runs.Loaded, error) {
	db := s.db.Read().WithContext(ctx)
	var rows []storedRun
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
		run, err := s.codec.run(&rows[i], blobs[id])
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

func readBlobs(db *gorm.DB, ids []runs.ID) (blobSet, error) {
	var rows []storedBlob
	if err := db.Raw("SELECT run, hash, data FROM blobs WHERE run IN ?", keys(ids)).Scan(&rows).Error; err != nil {
		return nil, database.Translate(err, "stored values")
	}
	set := blobSet{}
	for _, row := range rows {
		id := runs.ID(row.Run)
		if set[id] == nil {
			set[id] = map[[16]byte][]byte{}
		}
		set[id][[16]byte(row.Hash)] = row.Data
	}
	return set, nil
}

// keys gives ids as column values.
func keys(ids []runs.ID) [][]byte {
	return column(ids, func(id runs.ID) []byte { return id[:] })
}

// run turns a row into a run. With an error it has everything that can be read.
func (c *codec) run(row *storedRun, blobs map[[16]byte][]byte) (runs.Run, error) {
	r := runs.Run{
		ID: runs.ID(row.ID), Workflow: workflows.ID(row.Workflow), Version: row.Version, Folder: row.Folder,
		Status:    runStatus(row.Status),
		CreatedAt: instant(row.MadeAt), StartedAt: maybe(row.StartedAt), FinishedAt: maybe(row.FinishedAt),
		Depth: row.Depth, Fence: row.Fence, CancelRequested: row.CancelRequested != 0,
		Trigger: runs.TriggerRef{ID: row.TriggerID, Type: row.TriggerType, ScheduledAt: maybe(row.ScheduledAt)},
	}
	r.Trigger.FiredAt = r.CreatedAt
	if row.FiredAt != 0 {
		r.Trigger.FiredAt = instant(row.FiredAt)
	}
	copy(r.Owner[:], row.Owner)
	if row.RetryOf != nil {
		of := runs.ID(row.RetryOf)
		r.RetryOf = &of
	}
	if r.Status == runs.Waiting {
		r.WakeAt = maybe(row.DueAt)
	}
	r.WaitsForSlot = r.Status == runs.Queued && row.DueAt == 0
	var why cause
	err := damage("cause", c.unpackJSON(row.Cause, blobs, &why))
	r.Trigger.Request, r.Trigger.Event, r.Parent = why.Request, why.Event, why.Parent
	r.Groups, r.Above = groupsOf(why.Groups), groupsOf(why.Above)
	var inputErr, outputErr error
	r.Input, inputErr = c.unpack(row.Input, blobs)
	r.Output, outputErr = c.unpack(row.Output, blobs)
	failureErr := c.unpackJSON(row.Failure, blobs, &r.Error)
	return r, errors.Join(err, damage("input", inputErr), damage("output", outputErr), damage("error", failureErr))
}

// damage names the part of a run or step that cannot be read.
func damage(part string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", part, err)
}

// step turns a row into a step. With an error it has everything that can be read.
func (c *codec) step(row *storedStep, blobs map[[16]byte][]byte) (runs.Step, error) {
	s := runs.Step{
		Node: workflows.NodeID(row.Node), Index: row.Idx, Status: stepStatus(row.Status),
		StartedAt: maybe(row.StartedAt), FinishedAt: maybe(row.FinishedAt), DueAt: maybe(row.DueAt),
		NeedsConnect: credentials.ID(row.Hold),
	}
	var outputErr, sealedErr error
	s.Output, outputErr = c.unpack(row.Output, blobs)
	s.Sealed, sealedErr = c.unpack(row.Sealed, blobs)
	failureErr := c.unpackJSON(row.Failure, blobs, &s.Error)
	var detail detailRow
	detailErr := c.unpackJSON(row.Detail, blobs, &detail)
	if detailErr == nil {
		detail.restore(&s, credentials.ID(row.Credential))
	}
	return s, errors.Join(damage("output", outputErr), damage("sealed output", sealedErr), damage("error", failureErr), damage("detail", detailErr))
}
