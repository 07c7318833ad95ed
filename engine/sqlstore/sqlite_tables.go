package sqlstore

import (
	"bytes"
	"database/sql/driver"
	"fmt"

	"keyflow/engine/runs"
	"keyflow/engine/sqlstore/record"
)

func (w *sqliteWriter) readRuns(b *batch) error {
	const columns = "SELECT id, status, owner, fence, due_at, started_at, cancel_requested FROM runs WHERE id IN "
	return w.queryIDs(columns, b.lookups.runs, func(row []driver.Value) {
		r := b.stored.runs[runs.ID(row[0].([]byte))]
		r.exists = true
		r.status = int16(row[1].(int64))
		if owner, ok := row[2].([]byte); ok {
			r.owner = runs.OwnerID(owner)
		}
		r.fence = row[3].(int64)
		r.due, _ = row[4].(int64)
		r.started, _ = row[5].(int64)
		r.cancel = row[6] == int64(1)
	})
}

func (w *sqliteWriter) readUnread(b *batch) error {
	return w.queryIDs("SELECT run, seq FROM signals WHERE run IN ", b.lookups.waiting, func(row []driver.Value) {
		r := b.stored.runs[runs.ID(row[0].([]byte))]
		r.unread = max(r.unread, row[1].(int64))
	})
}

func (w *sqliteWriter) readSignalIDs(b *batch) error {
	return w.queryIDs("SELECT id, data FROM signals WHERE id IN ", b.lookups.signals, func(row []driver.Value) {
		data, _ := row[1].([]byte) // or NULL
		b.stored.signals[runs.ID(row[0].([]byte))] = bytes.Clone(data)
	})
}

func (w *sqliteWriter) readStepChecks(b *batch) error {
	return b.eachStepCheck(func(a *record.StepCheck) error {
		return w.query(func(row []driver.Value) { b.stored.steps[a.Key] = int16(row[0].(int64)) },
			"SELECT status FROM steps WHERE run = ? AND node = ? AND idx = ?", a.Key.Run[:], a.NodeID, int64(a.Key.Index))
	})
}

// reserveKeys inserts the dedupe keys that are free and reads the stored rows of all.
func (w *sqliteWriter) reserveKeys(b *batch) error {
	for _, k := range b.lookups.keys {
		err := w.exec(reserveKey+" VALUES (?, ?, ?, ?) "+reserveConflict+"?",
			k.Hash[:], nullID(k.Run), null(k.InputHash), k.Expires, b.now)
		if err == nil {
			err = w.query(func(row []driver.Value) {
				k.Run = runs.ID{}
				if run, ok := row[0].([]byte); ok {
					k.Run = runs.ID(run)
				}
				k.InputHash, _ = row[1].([]byte)
			}, "SELECT run, input_hash FROM dedupe WHERE hash = ?", k.Hash[:])
		}
		if err != nil {
			return fmt.Errorf("reserve dedupe keys: %w", err)
		}
	}
	return nil
}

func (w *sqliteWriter) insertRuns(b *batch) error {
	const query = "INSERT INTO runs (" + runColumns + ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
	for _, r := range b.writes.inserts {
		f := r.fresh
		err := w.exec(query, r.id[:], f.OriginID, int64(f.Version), int64(r.status), nullID(r.owner), r.fence, nullInt(r.due),
			f.Created, nullInt(f.Fired), nullInt(f.Scheduled), nullInt(r.started), nullInt(r.finished),
			int64(f.Depth), bit(r.cancel), null(f.RetryOf), null(r.failure), null(f.Cause), null(f.Input), null(r.output))
		if err != nil {
			return fmt.Errorf("insert run: %w", err)
		}
	}
	return nil
}

func (w *sqliteWriter) updateRuns(b *batch) error {
	const query = `UPDATE runs SET status = ?, owner = ?, fence = ?, due_at = ?,
		started_at = ?, finished_at = COALESCE(?, finished_at), cancel_requested = cancel_requested | ?,
		failure = COALESCE(?, failure), output = COALESCE(?, output) WHERE id = ?`
	for _, r := range b.writes.updates {
		err := w.exec(query, int64(r.status), nullID(r.owner), r.fence, nullInt(r.due),
			nullInt(r.started), nullInt(r.finished), bit(r.cancel), null(r.failure), null(r.output), r.id[:])
		if err != nil {
			return fmt.Errorf("update run: %w", err)
		}
	}
	return nil
}

func (w *sqliteWriter) upsertSteps(b *batch) error {
	const query = "INSERT INTO steps (" + stepColumns + ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) " + stepConflict
	for i := range b.writes.steps {
		s := &b.writes.steps[i]
		err := w.exec(query, s.Key.Run[:], s.NodeID, int64(s.Key.Index), int64(s.Status), nullInt(s.Started), nullInt(s.Finished),
			nullInt(s.Due), null(s.Failure), null(s.Detail), null(s.Output), nullInt(s.CredentialID), nullText(s.Hold), null(s.Sealed))
		if err != nil {
			return fmt.Errorf("store step: %w", err)
		}
	}
	return nil
}

func (w *sqliteWriter) insertBlobs(b *batch) error {
	for i := range b.writes.blobs {
		v := &b.writes.blobs[i]
		err := w.exec("INSERT INTO blobs (run, hash, data) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", v.Run[:], v.Hash[:], v.Data)
		if err != nil {
			return fmt.Errorf("store value: %w", err)
		}
	}
	return nil
}

func (w *sqliteWriter) changeSignals(b *batch) error {
	for i := range b.writes.signals {
		s := &b.writes.signals[i]
		err := w.exec("INSERT INTO signals (id, run, kind, data) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
			s.ID[:], s.Run[:], s.Kind, null(s.Data))
		if err != nil {
			return fmt.Errorf("store signal: %w", err)
		}
	}
	for _, r := range b.writes.consumed {
		if err := w.exec("DELETE FROM signals WHERE run = ? AND seq <= ?", r.id[:], r.readTo); err != nil {
			return fmt.Errorf("remove signals: %w", err)
		}
	}
	return nil
}

// readOwners needs no lock, because a beat waits for the writing connection.
func (w *sqliteWriter) readOwners(b *batch) error {
	for _, owner := range b.lookups.owners {
		err := w.query(func(row []driver.Value) { b.beat(owner[:], row[0].(int64)) },
			"SELECT beat_at FROM owners WHERE id = ?", owner[:])
		if err != nil {
			return fmt.Errorf("read owners: %w", err)
		}
	}
	return nil
}

func (w *sqliteWriter) insertAnswers(b *batch) error {
	for i := range b.writes.answers {
		a := &b.writes.answers[i]
		if err := w.exec("INSERT INTO answers (run, data) VALUES (?, ?) ON CONFLICT DO NOTHING", a.Run[:], a.Data); err != nil {
			return fmt.Errorf("store answer: %w", err)
		}
	}
	return nil
}

func (w *sqliteWriter) insertEvents(b *batch) error {
	for i := range b.writes.events {
		e := &b.writes.events[i]
		err := w.exec("INSERT INTO event_outbox ("+eventColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?)"+eventConflict,
			e.ID[:], e.Source, e.Type, e.Subject, e.Folder, int64(e.Depth), e.Time.UnixMicro(), []byte(e.Data))
		if err != nil {
			return fmt.Errorf("store event: %w", err)
		}
	}
	return nil
}

func (w *sqliteWriter) readSlots(b *batch) error {
	if b.slots == nil {
		return nil
	}
	if err := b.readSlots(w.execute); err != nil {
		return fmt.Errorf("read slots: %w", err)
	}
	b.sortRuns()
	return nil
}

func (w *sqliteWriter) changeSlots(b *batch) error {
	if b.slots == nil {
		return nil
	}
	if err := w.execute(append(b.slots.writes(), b.keyWrites()...)); err != nil {
		return fmt.Errorf("store slots: %w", err)
	}
	return nil
}

// execute executes statements one after the other.
func (w *sqliteWriter) execute(statements []slotStatement) error {
	for i := range statements {
		args := make([]driver.Value, len(statements[i].args))
		for j, arg := range statements[i].args {
			args[j] = arg
		}
		var err error
		if each := statements[i].each; each == nil {
			err = w.exec(statements[i].sql, args...)
		} else {
			err = w.query(func(values []driver.Value) {
				row := make([]any, len(values))
				for j, v := range values {
					row[j] = v
				}
				each(row)
			}, statements[i].sql, args...)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
