//go:build unix

package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	_ "modernc.org/sqlite"             // the driver "sqlite"
)

// makeDatabase makes an empty Postgres database behind a proxy; "" on SQLite.
func (r *round) makeDatabase(ctx context.Context) (address string, drop func(), err error) {
	if r.database == "" {
		return "", func() {}, nil
	}
	name := fmt.Sprintf("faults_%d_%d", os.Getpid(), r.seed)
	if err := r.sql(ctx, "", "CREATE DATABASE "+name); err != nil {
		return "", nil, err
	}
	u, err := url.Parse(r.database)
	if err != nil {
		return "", nil, err
	}
	if r.proxy, err = newProxy(u); err != nil {
		return "", nil, err
	}
	behind := *u
	behind.Host, behind.Path, behind.RawQuery = r.proxy.listener.Addr().String(), "/"+name, "sslmode=disable"
	return behind.String(), func() {
		r.proxy.close()
		if len(r.violations) > 0 {
			return // somebody may want to look into it
		}
		if err := r.sql(context.WithoutCancel(ctx), "", "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)"); err != nil {
			fmt.Fprintln(r.out, "  drop database:", err)
		}
	}, nil
}

// name is that of the round's database.
func (r *round) name() string {
	u, err := url.Parse(r.inst.database)
	if err != nil {
		return ""
	}
	return u.Path[1:]
}

// sql runs statements on a database of the server, not through the proxy.
func (r *round) sql(ctx context.Context, database string, statements ...string) (err error) {
	u, err := url.Parse(r.database)
	if err != nil {
		return err
	}
	if database != "" {
		u.Path = "/" + database
	}
	db, err := sql.Open("pgx", u.String())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	for _, s := range statements {
		if _, err := db.ExecContext(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	return nil
}

// checkDatabase asks the database whether its pages and indexes are whole. No process uses it.
func (r *round) checkDatabase(ctx context.Context) error {
	if r.database != "" {
		return r.sql(ctx, r.name(), "CREATE EXTENSION IF NOT EXISTS amcheck",
			"SELECT bt_index_check(c.oid, true) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam WHERE a.amname = 'btree' AND c.relpersistence = 'p'")
	}
	db, err := sql.Open("sqlite", "file:"+filepath.Join(r.inst.servers[0].dir, "keyflow.db"))
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	for _, check := range []string{"PRAGMA integrity_check", "PRAGMA foreign_key_check"} {
		var verdict string
		switch err := db.QueryRowContext(ctx, check).Scan(&verdict); {
		case errors.Is(err, sql.ErrNoRows):
		case err != nil:
			return fmt.Errorf("%s: %w", check, err)
		case verdict != "ok":
			return fmt.Errorf("%s: %s", check, verdict)
		}
	}
	return nil
}

// restartingPostgres is an immediate stop (its own kill -9) and a start.
func restartingPostgres(ctx, loading context.Context, r *round) error {
	for pause(loading, between(r.rng, 500*time.Millisecond, 3*time.Second)) {
		r.inject("Postgres stops at once and starts again")
		from := time.Now()
		if err := r.restartServer(ctx); err != nil {
			return err
		}
		r.inst.disturb(from)
		if err := r.recovered(ctx, time.Now()); err != nil {
			r.blame("recovery: after a restart of Postgres: %v", err)
		}
	}
	return nil
}

func (r *round) restartServer(ctx context.Context) error {
	db, err := sql.Open("pgx", r.database)
	if err != nil {
		return err
	}
	var dir string
	err = errors.Join(db.QueryRowContext(ctx, "SHOW data_directory").Scan(&dir), db.Close())
	if err != nil {
		return err
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/pg_ctl")
	if len(found) == 0 {
		return errors.New("pg-restart needs pg_ctl in /usr/lib/postgresql/*/bin")
	}
	args := []string{found[len(found)-1], "-D", dir, "-m", "immediate", "-w", "-l", filepath.Join(filepath.Dir(dir), "server.log"), "restart"}
	if os.Getuid() == 0 { // Postgres refuses to run as root
		args = append([]string{"setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"}, args...)
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = "/"
	if err := cmd.Run(); err != nil { // its output is not read: the server would hold the pipe
		return fmt.Errorf("pg_ctl restart: %w", err)
	}
	return within(ctx, startsWithin, again, "Postgres answers", func() bool { return r.sql(ctx, "", "SELECT 1") == nil })
}

// cuttingConnections ends every connection of Keyflow, at once, in whatever it is doing.
func cuttingConnections(ctx, loading context.Context, r *round) error {
	for pause(loading, between(r.rng, 100*time.Millisecond, 1500*time.Millisecond)) {
		r.inject("all connections to Postgres are cut")
		from := time.Now()
		if r.rng.IntN(2) == 0 {
			r.proxy.cut()
		} else if err := r.sql(ctx, "", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '"+r.name()+"'"); err != nil {
			return err
		}
		r.inst.disturb(from)
	}
	return nil
}

// losingCommits has COMMITs carried out whose answer is lost.
func losingCommits(_, loading context.Context, r *round) error {
	r.breakCommits(loading, func() time.Duration { return 0 })
	return nil
}

// outlivingCommits has COMMITs carried out after their sender has lost its connection, and
// perhaps after it has tried again.
func outlivingCommits(_, loading context.Context, r *round) error {
	r.breakCommits(loading, func() time.Duration { return between(r.rng, 50*time.Millisecond, 500*time.Millisecond) })
	return nil
}

// breakCommits counts what was carried out; the journal must be among those that it befell.
func (r *round) breakCommits(loading context.Context, late func() time.Duration) {
	journal, others := 0, 0
	for pause(loading, between(r.rng, 50*time.Millisecond, 500*time.Millisecond)) {
		b := r.proxy.breakCommit(loading, late())
		if b == nil || !b.committed {
			continue
		}
		r.inject("a COMMIT is carried out after %v; nobody hears of it (prepared: %t)", b.late, b.prepared)
		r.inst.disturb(b.began)
		if b.prepared {
			journal++
		} else {
			others++
		}
	}
	r.mu.Lock()
	r.notes = append(r.notes, fmt.Sprintf("%d COMMITs of the journal and %d others", journal, others))
	r.mu.Unlock()
	if journal == 0 {
		r.blame("fault: it befell no COMMIT of the journal")
	}
}
