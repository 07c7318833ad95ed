package database_test

import (
	"bytes"
	"context"
	"database/sql/driver"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"

	"keyflow/internal/database"
	"keyflow/internal/database/databasetest"
	"keyflow/internal/fault"
)

type thing struct {
	ID   int64 `gorm:"primaryKey;autoIncrement:false"`
	Name string
}

func TestTransactionsAndErrors(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, open func() *database.DB) {
		db := open()
		ctx := t.Context()
		if err := db.Write().Exec("CREATE TABLE things (id BIGINT PRIMARY KEY, name TEXT NOT NULL)").Error; err != nil {
			t.Fatal(err)
		}
		if err := db.Tx(ctx, func(tx *gorm.DB) error { return tx.Create(&thing{ID: 1, Name: `a"b`}).Error }); err != nil {
			t.Fatal(err)
		}
		rollback := fault.New(fault.Conflict, "stop")
		err := db.Tx(ctx, func(tx *gorm.DB) error {
			if err := tx.Create(&thing{ID: 2, Name: "gone"}).Error; err != nil {
				return err
			}
			return rollback
		})
		if !fault.Is(err, fault.Conflict) {
			t.Fatalf("Tx returned %v, want the function's error", err)
		}
		var got []thing
		if err := db.Read().Order("id").Find(&got).Error; err != nil {
			t.Fatal(err)
		}
		if len(got) != 1 || got[0].Name != `a"b` {
			t.Fatalf("rows after a rollback: %v", got)
		}

		err = database.Translate(db.Write().Create(&thing{ID: 1}).Error, `thing "1"`)
		if !fault.Is(err, fault.Conflict) || fault.Message(err) != `thing "1" already exists` {
			t.Errorf("duplicate key: %v", err)
		}
		err = database.Translate(db.Read().Take(&thing{}, "id = ?", 7).Error, `thing "7"`)
		if !fault.Is(err, fault.NotFound) || fault.Message(err) != `thing "7" does not exist` {
			t.Errorf("missing row: %v", err)
		}
		err = database.Translate(db.Read().Exec("SELECT nonsense FROM things").Error, "things")
		if fault.Message(err) != "internal error" {
			t.Errorf("driver text reaches the message: %q", fault.Message(err))
		}
		err = database.Translate(db.Read().Exec("SELECT ?", "a\x00b").Error, "the text")
		if db.Dialect() == database.Postgres && !fault.Is(err, fault.Invalid) || db.Dialect() == database.SQLite && err != nil {
			t.Errorf("a NUL in a text: %v", err)
		}
	})
}

func TestSecondProcessOnTheSameFolderIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db, err := database.Open(t.Context(), database.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	_, err = database.Open(t.Context(), database.Options{Dir: dir})
	if !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "is in use by another keyflow process (pid ") {
		t.Errorf("second open: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := database.Open(t.Context(), database.Options{Dir: dir})
	if err != nil {
		t.Fatalf("open after close: %v", err)
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, database.FileName))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("database file mode %v, %v; want 0600", info.Mode(), err)
	}
}

func TestOpenRefusesBadAddresses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		url  string
		want string
	}{
		"other scheme": {"mysql://x", "database URL must begin with postgres:// (leave it out for SQLite in the data folder)"},
		"nobody there": {"postgres://u:canary-secret@127.0.0.1:1/x", "Postgres does not answer: check --database-url and that the server runs"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			_, err := database.Open(context.Background(), database.Options{URL: tt.url, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			if log.Len() > 0 {
				t.Errorf("what is returned is logged, too: %s", &log)
			}
			if fault.Message(err) != tt.want {
				t.Errorf("message %q, want %q", fault.Message(err), tt.want)
			}
			if strings.Contains(err.Error(), "canary-secret") {
				t.Errorf("the error shows the password: %v", err)
			}
		})
	}
}

// The log tells of statements that failed, not of callers that gave up, and shows no values.
func TestLogOfStatements(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	db, err := database.Open(t.Context(), database.Options{Dir: t.TempDir(), Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	late, done := context.WithDeadline(t.Context(), time.Unix(1, 0))
	defer done()
	for name, ctx := range map[string]context.Context{"canceled": canceled, "late": late} {
		if err := db.Read().WithContext(ctx).Exec("SELECT 1").Error; err == nil || log.Len() > 0 {
			t.Errorf("%s: %v was logged: %s", name, err, &log)
		}
	}
	if err := db.Read().Exec("SELECT nonsense FROM nowhere WHERE x = ?", "canary-value").Error; err == nil || !strings.Contains(log.String(), "nonsense") || strings.Contains(log.String(), "canary") {
		t.Errorf("%v was logged: %s", err, &log)
	}
}

// A server that goes away in the middle of an answer may be back soon: nobody is to blame but it.
func TestBrokenConnectionsPass(t *testing.T) {
	t.Parallel()
	for name, err := range map[string]error{"within an answer": io.ErrUnexpectedEOF, "before one": io.EOF, "three times in a row": driver.ErrBadConn} {
		if got := database.Translate(fmt.Errorf("prepare: %w", err), "things"); !fault.Is(got, fault.Unavailable) {
			t.Errorf("%s: %v", name, got)
		}
	}
}
