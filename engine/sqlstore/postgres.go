package sqlstore

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"keyflow/engine/runs"
	"keyflow/engine/sqlstore/record"
	"keyflow/internal/fault"
)

// postgresWriter commits batches in two exchanges with the server: what must be read and
// locked, then all changes and the COMMIT. Rows travel as arrays, one per column, so that a
// batch of any size is the same few prepared statements. Locks are taken in a fixed order
// (runs by id, then keys by hash, then owners by id), so that two processes never wait for one another.
type postgresWriter struct {
	pool *sql.DB
}

var _ writer = (*postgresWriter)(nil)

func (w *postgresWriter) commit(ctx context.Context, b *batch) error {
	conn, err := w.pool.Conn(ctx)
	if err != nil {
		return lost(fmt.Errorf("connect: %w", err))
	}
	err = conn.Raw(func(raw any) error { return transact(ctx, raw.(*stdlib.Conn).Conn(), b) })
	return errors.Join(err, conn.Close())
}

func transact(ctx context.Context, conn *pgx.Conn, b *batch) error {
	err := readAndLock(ctx, conn, b)
	if err == nil {
		b.apply()
		if err = writeAndCommit(ctx, conn, b); err != nil && conn.IsClosed() {
			return lost(errors.Join(runs.ErrUnknown, err))
		}
	}
	switch {
	case err == nil:
		return nil
	case conn.IsClosed():
		return lost(err)
	case readOnly(err):
		return errors.Join(err, conn.Close(ctx))
	}
	return errors.Join(err, rollback(ctx, conn))
}

// lost is the fault for a connection that broke.
func lost(err error) error {
	return fault.New(fault.Unavailable, "the connection to the database broke: try again").Because(err)
}

// readOnly reports an answer of a server that is no primary any more, or not yet: only another
// connection may lead to one that is.
func readOnly(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && e.Code == "25006" // read_only_sql_transaction
}

// rollback leaves the connection clean, or closed.
func rollback(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if _, err := conn.Exec(ctx, "ROLLBACK"); err != nil {
		return errors.Join(fmt.Errorf("roll back: %w", err), conn.Close(ctx))
	}
	return nil
}

func readAndLock(ctx context.Context, conn *pgx.Conn, b *batch) error {
	q := &pgx.Batch{}
	q.Queue("BEGIN ISOLATION LEVEL READ COMMITTED")
	// A plan made while a table was small would read all of it for ever after.
	q.Queue("SET LOCAL enable_seqscan = off")
	if b.slots != nil {
		if err := errors.Join(conn.SendBatch(ctx, q).Close(), lockSlots(ctx, conn, b)); err != nil {
			return err
		}
		q = &pgx.Batch{}
	}
	queueRuns(q, b)
	queueKeys(q, b)
	queueUnread(q, b)
	queueTold(q, b)
	queueAsked(q, b)
	queueOwners(q, b)
	return conn.SendBatch(ctx, q).Close()
}

func writeAndCommit(ctx context.Context, conn *pgx.Conn, b *batch) error {
	q := &pgx.Batch{}
	if len(b.entries) == 0 { // a trial: it fails where a change would
		q.Queue("UPDATE owners SET beat_at = beat_at WHERE false")
	}
	queueInserts(q, b)
	queueUpdates(q, b)
	queueSteps(q, b)
	queueBlobs(q, b)
	queueSignals(q, b)
	queueAnswers(q, b)
	queueSlotWrites(q, b)
	queueEvents(q, b)
	q.Queue("COMMIT").Exec(func(tag pgconn.CommandTag) error {
		if tag.String() != "COMMIT" {
			return fmt.Errorf("commit answered %s", tag)
		}
		return nil
	})
	return conn.SendBatch(ctx, q).Close()
}

func queueRuns(q *pgx.Batch, b *batch) {
	if len(b.ids) == 0 {
		return
	}
	const query = "SELECT id, status, owner, fence, COALESCE(due_at, 0), COALESCE(started_at, 0), cancel_requested = 1 FROM runs WHERE id = ANY($1::bytea[]) ORDER BY id FOR UPDATE"
	q.Queue(query, column(b.ids, func(id runs.ID) []byte { return id[:] })).Query(func(rows pgx.Rows) error {
		var id, owner []byte
		var r liveRun
		_, err := pgx.ForEachRow(rows, []any{&id, &r.status, &owner, &r.fence, &r.due, &r.started, &r.cancel}, func() error {
			live := b.runs[runs.ID(id)]
			live.exists, live.status, live.fence, live.due, live.started, live.cancel = true, r.status, r.fence, r.due, r.started, r.cancel
			if owner != nil {
				live.owner = runs.OwnerID(owner)
			}
			return nil
		})
		return wrap("lock runs", err)
	})
}

// queueKeys inserts the dedupe keys that nobody holds and reads who holds the others. A
// process that inserts the same key waits for the end of the other's transaction.
func queueKeys(q *pgx.Batch, b *batch) {
	if len(b.keys) == 0 {
		return
	}
	hashes := column(b.keys, func(k *record.DedupeRow) []byte { return k.Hash[:] })
	q.Queue(reserveKey+" SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::bytea[], $4::bigint[]) "+reserveConflict+"$5",
		hashes,
		column(b.keys, func(k *record.DedupeRow) []byte { return idOrNil(k.Run) }),
		column(b.keys, func(k *record.DedupeRow) []byte { return k.InputHash }),
		column(b.keys, func(k *record.DedupeRow) int64 { return k.Expires }),
		b.now)
	q.Queue("SELECT hash, run, input_hash FROM dedupe WHERE hash = ANY($1::bytea[])", hashes).Query(func(rows pgx.Rows) error {
		var hash, run, input []byte
		_, err := pgx.ForEachRow(rows, []any{&hash, &run, &input}, func() error {
			k := b.held[[16]byte(hash)]
			k.Run, k.InputHash = runs.ID{}, input
			if run != nil {
				k.Run = runs.ID(run)
			}
			return nil
		})
		return wrap("reserve dedupe keys", err)
	})
}

func queueUnread(q *pgx.Batch, b *batch) {
	if len(b.parked) == 0 {
		return
	}
	const query = "SELECT run, max(seq) FROM signals WHERE run = ANY($1::bytea[]) GROUP BY run"
	q.Queue(query, column(b.parked, func(id runs.ID) []byte { return id[:] })).Query(func(rows pgx.Rows) error {
		var id []byte
		var seq int64
		_, err := pgx.ForEachRow(rows, []any{&id, &seq}, func() error {
			b.runs[runs.ID(id)].unread = seq
			return nil
		})
		return wrap("read signals", err)
	})
}

func queueTold(q *pgx.Batch, b *batch) {
	if len(b.told) == 0 {
		return
	}
	const query = "SELECT id, data FROM signals WHERE id = ANY($1::bytea[])"
	q.Queue(query, column(b.told, func(id runs.ID) []byte { return id[:] })).Query(func(rows pgx.Rows) error {
		var id, data []byte
		_, err := pgx.ForEachRow(rows, []any{&id, &data}, func() error {
			b.unread[runs.ID(id)] = bytes.Clone(data)
			return nil
		})
		return wrap("read signals", err)
	})
}

func queueAsked(q *pgx.Batch, b *batch) {
	_ = b.asks(func(a *record.StepCheck) error { // queueing cannot fail
		q.Queue("SELECT status FROM steps WHERE run = $1 AND node = $2 AND idx = $3", a.Key.Run[:], a.NodeID, a.Key.Index).Query(func(rows pgx.Rows) error {
			var status int16
			_, err := pgx.ForEachRow(rows, []any{&status}, func() error {
				b.status[a.Key] = status
				return nil
			})
			return wrap("read steps", err)
		})
		return nil
	})
}

func queueInserts(q *pgx.Batch, b *batch) {
	if len(b.inserts) == 0 {
		return
	}
	const query = "INSERT INTO runs (" + runColumns + `)
		SELECT id, origin, version, status, owner, fence, NULLIF(due_at, 0), created_at, NULLIF(fired_at, 0), NULLIF(scheduled_at, 0),
			NULLIF(started_at, 0), NULLIF(finished_at, 0), depth, cancel_requested, retry_of, failure, cause, input, output
		FROM unnest($1::bytea[], $2::int[], $3::int[], $4::smallint[], $5::bytea[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[],
			$10::bigint[], $11::bigint[], $12::bigint[], $13::smallint[], $14::smallint[], $15::bytea[], $16::bytea[], $17::bytea[],
			$18::bytea[], $19::bytea[]) AS t (` + runColumns + ")"
	rows := b.inserts
	q.Queue(query,
		column(rows, (*liveRun).key),
		column(rows, func(r *liveRun) int32 { return int32(r.fresh.OriginID) }),
		column(rows, func(r *liveRun) int32 { return int32(r.fresh.Version) }),
		column(rows, func(r *liveRun) int16 { return r.status }),
		column(rows, func(r *liveRun) []byte { return idOrNil(r.owner) }),
		column(rows, func(r *liveRun) int64 { return r.fence }),
		column(rows, func(r *liveRun) int64 { return r.due }),
		column(rows, func(r *liveRun) int64 { return r.fresh.Created }),
		column(rows, func(r *liveRun) int64 { return r.fresh.Fired }),
		column(rows, func(r *liveRun) int64 { return r.fresh.Scheduled }),
		column(rows, func(r *liveRun) int64 { return r.started }),
		column(rows, func(r *liveRun) int64 { return r.finished }),
		column(rows, func(r *liveRun) int16 { return int16(r.fresh.Depth) }),
		column(rows, func(r *liveRun) int16 { return int16(bit(r.cancel)) }),
		column(rows, func(r *liveRun) []byte { return r.fresh.RetryOf }),
		column(rows, func(r *liveRun) []byte { return r.failure }),
		column(rows, func(r *liveRun) []byte { return r.fresh.Cause }),
		column(rows, func(r *liveRun) []byte { return r.fresh.Input }),
		column(rows, func(r *liveRun) []byte { return r.output }))
}

func queueUpdates(q *pgx.Batch, b *batch) {
	if len(b.updates) == 0 {
		return
	}
	const query = `UPDATE runs SET status = t.status, owner = t.owner, fence = t.fence, due_at = NULLIF(t.due_at, 0),
			started_at = NULLIF(t.started_at, 0),
			finished_at = COALESCE(NULLIF(t.finished_at, 0), runs.finished_at),
			cancel_requested = runs.cancel_requested | t.cancel_requested,
			failure = COALESCE(t.failure, runs.failure), output = COALESCE(t.output, runs.output)
		FROM unnest($1::bytea[], $2::smallint[], $3::bytea[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::smallint[],
			$9::bytea[], $10::bytea[]) AS t (id, status, owner, fence, due_at, started_at, finished_at, cancel_requested, failure, output)
		WHERE runs.id = t.id`
	rows := b.updates
	q.Queue(query,
		column(rows, (*liveRun).key),
		column(rows, func(r *liveRun) int16 { return r.status }),
		column(rows, func(r *liveRun) []byte { return idOrNil(r.owner) }),
		column(rows, func(r *liveRun) int64 { return r.fence }),
		column(rows, func(r *liveRun) int64 { return r.due }),
		column(rows, func(r *liveRun) int64 { return r.started }),
		column(rows, func(r *liveRun) int64 { return r.finished }),
		column(rows, func(r *liveRun) int16 { return int16(bit(r.cancel)) }),
		column(rows, func(r *liveRun) []byte { return r.failure }),
		column(rows, func(r *liveRun) []byte { return r.output }))
}

func queueSteps(q *pgx.Batch, b *batch) {
	if len(b.steps) == 0 {
		return
	}
	const query = "INSERT INTO steps (" + stepColumns + `)
		SELECT run, node, idx, status, NULLIF(started_at, 0), NULLIF(finished_at, 0), NULLIF(due_at, 0), failure, detail, output, NULLIF(credential, 0), NULLIF(hold, ''), sealed
		FROM unnest($1::bytea[], $2::int[], $3::int[], $4::smallint[], $5::bigint[], $6::bigint[], $7::bigint[],
			$8::bytea[], $9::bytea[], $10::bytea[], $11::int[], $12::text[], $13::bytea[]) AS t (` + stepColumns + ") " + stepConflict
	rows := b.steps
	q.Queue(query,
		column(rows, func(s record.StepRow) []byte { return s.Key.Run[:] }),
		column(rows, func(s record.StepRow) int32 { return int32(s.NodeID) }),
		column(rows, func(s record.StepRow) int32 { return int32(s.Key.Index) }),
		column(rows, func(s record.StepRow) int16 { return s.Status }),
		column(rows, func(s record.StepRow) int64 { return s.Started }),
		column(rows, func(s record.StepRow) int64 { return s.Finished }),
		column(rows, func(s record.StepRow) int64 { return s.Due }),
		column(rows, func(s record.StepRow) []byte { return s.Failure }),
		column(rows, func(s record.StepRow) []byte { return s.Detail }),
		column(rows, func(s record.StepRow) []byte { return s.Output }),
		column(rows, func(s record.StepRow) int32 { return int32(s.CredentialID) }),
		column(rows, func(s record.StepRow) string { return s.Hold }),
		column(rows, func(s record.StepRow) []byte { return s.Sealed }))
}

func queueBlobs(q *pgx.Batch, b *batch) {
	if len(b.blobs) == 0 {
		return
	}
	q.Queue("INSERT INTO blobs (run, hash, data) SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::bytea[]) ON CONFLICT DO NOTHING",
		column(b.blobs, func(v record.BlobRow) []byte { return v.Run[:] }),
		column(b.blobs, func(v record.BlobRow) []byte { return v.Hash[:] }),
		column(b.blobs, func(v record.BlobRow) []byte { return v.Data }))
}

func queueSignals(q *pgx.Batch, b *batch) {
	if len(b.signals) > 0 {
		q.Queue(`INSERT INTO signals (id, run, kind, data)
			SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::text[], $4::bytea[]) ON CONFLICT (id) DO NOTHING`,
			column(b.signals, func(s record.SignalRow) []byte { return s.ID[:] }),
			column(b.signals, func(s record.SignalRow) []byte { return s.Run[:] }),
			column(b.signals, func(s record.SignalRow) string { return s.Kind }),
			column(b.signals, func(s record.SignalRow) []byte { return s.Data }))
	}
	if len(b.read) > 0 {
		q.Queue("DELETE FROM signals USING unnest($1::bytea[], $2::bigint[]) AS t (run, seq) WHERE signals.run = t.run AND signals.seq <= t.seq",
			column(b.read, (*liveRun).key),
			column(b.read, func(r *liveRun) int64 { return r.readTo }))
	}
}

func (r *liveRun) key() []byte { return r.id[:] }

// column makes the array of one column.
func column[R, V any](rows []R, value func(R) V) []V {
	values := make([]V, len(rows))
	for i, row := range rows {
		values[i] = value(row)
	}
	return values
}

// idOrNil is nil, which is NULL, for the zero id.
func idOrNil[ID ~[16]byte](id ID) []byte {
	if id == (ID{}) {
		return nil
	}
	return id[:]
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}
