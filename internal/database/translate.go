package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"

	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/gorm"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"keyflow/internal/fault"
)

// Translate turns an error of gorm or a driver into a fault; what names the object in the
// safe message (`credential "erp"`). nil, context errors and faults pass unchanged.
func Translate(err error, what string) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if _, ok := errors.AsType[*fault.Error](err); ok {
		return err
	}
	switch {
	case errors.Is(err, gorm.ErrRecordNotFound), errors.Is(err, sql.ErrNoRows):
		return fault.New(fault.NotFound, "%s does not exist", what).Because(err)
	case errors.Is(err, gorm.ErrDuplicatedKey):
		return fault.New(fault.Conflict, "%s already exists", what).Because(err)
	case unstorable(err):
		return fault.New(fault.Invalid, "%s: a text holds a character that cannot be stored (NUL, or not UTF-8)", what).Because(err)
	case unavailable(err):
		return fault.New(fault.Unavailable, "the database cannot be written or read now: try again").Because(err)
	default:
		return fault.New(fault.Internal, "%s: database error", what).Because(err)
	}
}

// unstorable reports a text that Postgres cannot hold. SQLite holds any; whoever reads
// requests refuses such texts before.
func unstorable(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && e.Code == "22021" // character_not_in_repertoire
}

// unavailable reports errors that pass when the disk or the server comes back.
func unavailable(err error) bool {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		switch e.Code() & 0xff { // the primary code
		case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR,
			sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOMEM:
			return true
		}
		return false
	}
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch e.Code[:2] { // SQLSTATE class: connection, invalid state (read only, idle too long), rollback, resources, not in the state for it, operator intervention, system error
		case "08", "25", "40", "53", "55", "57", "58":
			return true
		}
		return false
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return true
	}
	_, network := errors.AsType[net.Error](err)
	return network || errors.Is(err, sql.ErrConnDone) || errors.Is(err, driver.ErrBadConn) || pgconn.SafeToRetry(err) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) // the server hung up in the middle of an answer
}
