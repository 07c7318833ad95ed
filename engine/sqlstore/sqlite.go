package sqlstore

import (
	"bytes"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strings"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"keyflow/engine/runs"
	"keyflow/engine/sqlstore/record"
)

// sqliteWriter commits batches on SQLite's one writing connection. It speaks to the driver
// itself: database/sql would cost as much as the statements, and the driver watches a
// context that can end with a goroutine per statement. Inside the transaction, which waits
// for nobody, statements get a context that cannot.
type sqliteWriter struct {
	pool *sql.DB

	conn     driver.Conn // to which prepared belongs
	prepared map[string]driver.Stmt
	args     []driver.NamedValue // of the statement at work
}

var _ writer = (*sqliteWriter)(nil)

func (w *sqliteWriter) commit(ctx context.Context, b *batch) error {
	conn, err := w.pool.Conn(ctx) // waits for other writers of the process
	if err != nil {
		return fmt.Errorf("get the writing connection: %w", err)
	}
	err = conn.Raw(func(raw any) error { return w.transact(raw.(driver.Conn), b) })
	return errors.Join(err, conn.Close())
}

func (w *sqliteWriter) transact(conn driver.Conn, b *batch) error {
	if w.conn != conn {
		w.conn, w.prepared = conn, map[string]driver.Stmt{}
	}
	tx, err := conn.(driver.ConnBeginTx).BeginTx(context.Background(), driver.TxOptions{})
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	if err := w.carryOut(b); err != nil {
		return errors.Join(syncError(err), tx.Rollback())
	}
	// A COMMIT that fails has stored nothing, unless the disk did not confirm the log.
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", syncError(err))
	}
	return nil
}

// syncError marks the errors after which the contents of the disk are unknown.
func syncError(err error) error {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		switch e.Code() {
		case sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR_DIR_FSYNC:
			return errors.Join(runs.ErrSync, err)
		}
	}
	return err
}

func (w *sqliteWriter) carryOut(b *batch) error {
	for _, read := range []func(*batch) error{w.readSlots, w.readRuns, w.reserveKeys, w.readUnread, w.readTold, w.readAsked, w.readOwners} {
		if err := read(b); err != nil {
			return err
		}
	}
	b.apply()
	for _, write := range []func(*batch) error{w.insertRuns, w.updateRuns, w.upsertSteps, w.insertBlobs, w.changeSignals, w.insertAnswers, w.changeSlots, w.insertEvents} {
		if err := write(b); err != nil {
			return err
		}
	}
	return nil
}

// statement returns the prepared form of query, made at its first use.
func (w *sqliteWriter) statement(query string) (driver.Stmt, error) {
	if s := w.prepared[query]; s != nil {
		return s, nil
	}
	s, err := w.conn.Prepare(query)
	if err != nil {
		return nil, err
	}
	w.prepared[query] = s
	return s, nil
}

func (w *sqliteWriter) exec(query string, args ...driver.Value) error {
	s, err := w.statement(query)
	if err != nil {
		return err
	}
	_, err = s.(driver.StmtExecContext).ExecContext(context.Background(), w.named(args))
	return err
}

// query calls each with every row; it must not keep the slice.
func (w *sqliteWriter) query(each func(row []driver.Value), query string, args ...driver.Value) error {
	s, err := w.statement(query)
	if err != nil {
		return err
	}
	rows, err := s.(driver.StmtQueryContext).QueryContext(context.Background(), w.named(args))
	if err != nil {
		return err
	}
	row := make([]driver.Value, len(rows.Columns()))
	for err == nil {
		if err = rows.Next(row); err == nil {
			each(row)
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return errors.Join(err, rows.Close())
}

// named numbers arguments, in a list that the next statement uses again.
func (w *sqliteWriter) named(args []driver.Value) []driver.NamedValue {
	w.args = w.args[:0]
	for i, arg := range args {
		w.args = append(w.args, driver.NamedValue{Ordinal: i + 1, Value: arg})
	}
	return w.args
}

// idsPerQuery is how many ids one SELECT asks for; the last repeats the final id.
const idsPerQuery = 32

func (w *sqliteWriter) readRuns(b *batch) error {
	const columns = "SELECT id, status, owner, fence, due_at, started_at, cancel_requested FROM runs WHERE id IN "
	return w.queryIDs(columns, b.ids, func(row []driver.Value) {
		r := b.runs[runs.ID(row[0].([]byte))]
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
	return w.queryIDs("SELECT run, seq FROM signals WHERE run IN ", b.parked, func(row []driver.Value) {
		r := b.runs[runs.ID(row[0].([]byte))]
		r.unread = max(r.unread, row[1].(int64))
	})
}

func (w *sqliteWriter) readTold(b *batch) error {
	return w.queryIDs("SELECT id, data FROM signals WHERE id IN ", b.told, func(row []driver.Value) {
		data, _ := row[1].([]byte) // or NULL
		b.unread[runs.ID(row[0].([]byte))] = bytes.Clone(data)
	})
}

func (w *sqliteWriter) readAsked(b *batch) error {
	return b.asks(func(a *record.StepCheck) error {
		return w.query(func(row []driver.Value) { b.status[a.Key] = int16(row[0].(int64)) },
			"SELECT status FROM steps WHERE run = ? AND node = ? AND idx = ?", a.Key.Run[:], a.NodeID, int64(a.Key.Index))
	})
}

// queryIDs asks query, which ends with IN, for the ids, in groups.
func (w *sqliteWriter) queryIDs(query string, ids []runs.ID, each func(row []driver.Value)) error {
	for len(ids) > 0 {
		n, size := min(len(ids), idsPerQuery), 1
		if n > 1 {
			size = idsPerQuery
		}
		args := make([]driver.Value, size)
		for i := range args {
			args[i] = ids[min(i, n-1)][:]
		}
		if err := w.query(each, query+placeholders[size], args...); err != nil {
			return fmt.Errorf("read runs: %w", err)
		}
		ids = ids[n:]
	}
	return nil
}

// placeholders are the two lists that queryIDs uses.
var placeholders = map[int]string{
	1:           "(?)",
	idsPerQuery: "(" + strings.Repeat("?, ", idsPerQuery-1) + "?)",
}

// reserveKeys inserts the dedupe keys that nobody holds and reads who holds the others.
func (w *sqliteWriter) reserveKeys(b *batch) error {
	for _, k := range b.keys {
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
	for _, r := range b.inserts {
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
	for _, r := range b.updates {
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
	for i := range b.steps {
		s := &b.steps[i]
		err := w.exec(query, s.Key.Run[:], s.NodeID, int64(s.Key.Index), int64(s.Status), nullInt(s.Started), nullInt(s.Finished),
			nullInt(s.Due), null(s.Failure), null(s.Detail), null(s.Output), nullInt(s.CredentialID), nullText(s.Hold), null(s.Sealed))
		if err != nil {
			return fmt.Errorf("store step: %w", err)
		}
	}
	return nil
}

func (w *sqliteWriter) insertBlobs(b *batch) error {
	for i := range b.blobs {
		v := &b.blobs[i]
		err := w.exec("INSERT INTO blobs (run, hash, data) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", v.Run[:], v.Hash[:], v.Data)
		if err != nil {
			return fmt.Errorf("store value: %w", err)
		}
	}
	return nil
}

func (w *sqliteWriter) changeSignals(b *batch) error {
	for i := range b.signals {
		s := &b.signals[i]
		err := w.exec("INSERT INTO signals (id, run, kind, data) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
			s.ID[:], s.Run[:], s.Kind, null(s.Data))
		if err != nil {
			return fmt.Errorf("store signal: %w", err)
		}
	}
	for _, r := range b.read {
		if err := w.exec("DELETE FROM signals WHERE run = ? AND seq <= ?", r.id[:], r.readTo); err != nil {
			return fmt.Errorf("remove signals: %w", err)
		}
	}
	return nil
}

// null is nil for no bytes.
func null(b []byte) driver.Value {
	if b == nil {
		return nil
	}
	return b
}

// nullID is nil for the zero id.
func nullID[ID ~[16]byte](id ID) driver.Value {
	if id == (ID{}) {
		return nil
	}
	return id[:]
}

// nullText is nil for no text.
func nullText(s string) driver.Value {
	if s == "" {
		return nil
	}
	return s
}

// nullInt is nil for 0.
func nullInt(n int64) driver.Value {
	if n == 0 {
		return nil
	}
	return n
}

func bit(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
