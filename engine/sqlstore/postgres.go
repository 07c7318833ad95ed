package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"keyflow/engine/runs"
	"keyflow/internal/fault"
)

// postgresWriter commits batches in two exchanges with the server: one reads and locks rows, one
// writes all changes and commits. Rows are sent as arrays, one for each column, so that a batch of
// any size uses the same few prepared statements. Locks are taken in a fixed order (runs by id,
// then keys by hash, then owners by id), so that two processes never deadlock.
type postgresWriter struct {
	pool *sql.DB
}

var _ writer = (*postgresWriter)(nil)

func (w *postgresWriter) commit(ctx context.Context, b *batch) error {
	conn, err := w.pool.Conn(ctx)
	if err != nil {
		return connectionLost(fmt.Errorf("connect: %w", err))
	}
	err = conn.Raw(func(raw any) error { return transact(ctx, raw.(*stdlib.Conn).Conn(), b) })
	return errors.Join(err, conn.Close())
}

func transact(ctx context.Context, conn *pgx.Conn, b *batch) error {
	err := readAndLock(ctx, conn, b)
	if err == nil {
		b.apply()
		if err = writeAndCommit(ctx, conn, b); err != nil && conn.IsClosed() {
			return connectionLost(errors.Join(runs.ErrUnknown, err))
		}
	}
	switch {
	case err == nil:
		return nil
	case conn.IsClosed():
		return connectionLost(err)
	case readOnly(err):
		return errors.Join(err, conn.Close(ctx))
	}
	return errors.Join(err, rollback(ctx, conn))
}

// connectionLost is the fault for a connection that broke.
func connectionLost(err error) error {
	return fault.New(fault.Unavailable, "the connection to the database broke: try again").Because(err)
}

// readOnly reports an error of a server that is not the primary, or not yet. Only a new connection
// may reach the primary.
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
	// A plan that was made while a table was small would scan the table for ever.
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
	queueSignalIDs(q, b)
	queueStepChecks(q, b)
	queueOwners(q, b)
	return conn.SendBatch(ctx, q).Close()
}

func writeAndCommit(ctx context.Context, conn *pgx.Conn, b *batch) error {
	q := &pgx.Batch{}
	if len(b.entries) == 0 { // a probe: it fails if a change would fail
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
