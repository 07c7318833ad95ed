package sqlstore

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"keyflow/engine/runs"
)

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
	if err := w.readApplyWrite(b); err != nil {
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

func (w *sqliteWriter) readApplyWrite(b *batch) error {
	for _, read := range []func(*batch) error{w.readSlots, w.readRuns, w.reserveKeys, w.readUnread, w.readSignalIDs, w.readStepChecks, w.readOwners} {
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
