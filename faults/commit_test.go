//go:build unix

package main

import (
	"context"
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"keyflow/internal/database/databasetest"
)

// A COMMIT is found however it is sent, also when its text has passed long before; it is
// carried out, and its sender does not hear of it.
func TestBrokenCommit(t *testing.T) {
	t.Parallel()
	server, err := url.Parse(databasetest.PostgresURL(t))
	if err != nil {
		t.Fatal(err)
	}
	p, err := newProxy(server)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.close)
	behind := *server
	behind.Host, behind.RawQuery = p.listener.Addr().String(), "sslmode=disable"
	direct := connect(t, server.String())
	if _, err := direct.Exec(t.Context(), "CREATE TABLE notes (id BIGINT PRIMARY KEY)"); err != nil {
		t.Fatal(err)
	}
	for i, tt := range []struct {
		name   string
		late   time.Duration
		commit func(ctx context.Context, c *pgx.Conn, id int) error
		want   bool // it was prepared
	}{
		{"a query, lost", 0, commitQuery, false},
		{"prepared, lost", 0, commitBatch, true},
		{"a query, late", 2 * time.Second, commitQuery, false},
		{"prepared, late", 2 * time.Second, commitBatch, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			conn := connect(t, behind.String())
			for n := range 2 { // the text of prepared statements passes here
				if err := tt.commit(t.Context(), conn, 10*i+n); err != nil {
					t.Fatal(err)
				}
			}
			b := &brokenCommit{late: tt.late, over: make(chan struct{})}
			p.armed.Store(b)
			if err := tt.commit(t.Context(), conn, 10*i+2); err == nil {
				t.Fatal("the answer was not lost")
			}
			if tt.late > 0 && stored(t, direct, 10*i+2) {
				t.Error("it was carried out before its sender lost the connection")
			}
			if <-b.over; b.prepared != tt.want || !b.committed {
				t.Errorf("prepared %t, carried out %t", b.prepared, b.committed)
			}
			if !stored(t, direct, 10*i+2) {
				t.Error("it was not carried out")
			}
		})
	}
}

func connect(t *testing.T, address string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) }) // the proxy may have cut it
	return conn
}

func stored(t *testing.T, c *pgx.Conn, id int) (yes bool) {
	t.Helper()
	if err := c.QueryRow(t.Context(), "SELECT EXISTS (SELECT FROM notes WHERE id = $1)", id).Scan(&yes); err != nil {
		t.Fatal(err)
	}
	return yes
}

// commitQuery commits as database/sql does.
func commitQuery(ctx context.Context, c *pgx.Conn, id int) error {
	for _, s := range []string{"BEGIN", fmt.Sprintf("INSERT INTO notes VALUES (%d)", id), "COMMIT"} {
		if _, err := c.Exec(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// commitBatch commits as the journal does.
func commitBatch(ctx context.Context, c *pgx.Conn, id int) error {
	q := &pgx.Batch{}
	q.Queue("BEGIN")
	q.Queue("INSERT INTO notes VALUES ($1)", id)
	q.Queue("COMMIT")
	return c.SendBatch(ctx, q).Close()
}
