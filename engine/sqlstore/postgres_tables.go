package sqlstore

import (
	"bytes"
	"context"

	"github.com/jackc/pgx/v5"

	"keyflow/engine/runs"
	"keyflow/engine/sqlstore/record"
	"keyflow/internal/outbox"
)

func queueRuns(q *pgx.Batch, b *batch) {
	if len(b.lookups.runs) == 0 {
		return
	}
	const query = "SELECT id, status, owner, fence, COALESCE(due_at, 0), COALESCE(started_at, 0), cancel_requested = 1 FROM runs WHERE id = ANY($1::bytea[]) ORDER BY id FOR UPDATE"
	q.Queue(query, column(b.lookups.runs, func(id runs.ID) []byte { return id[:] })).Query(func(rows pgx.Rows) error {
		var id, owner []byte
		var r liveRun
		_, err := pgx.ForEachRow(rows, []any{&id, &r.status, &owner, &r.fence, &r.due, &r.started, &r.cancel}, func() error {
			live := b.stored.runs[runs.ID(id)]
			live.exists, live.status, live.fence, live.due, live.started, live.cancel = true, r.status, r.fence, r.due, r.started, r.cancel
			if owner != nil {
				live.owner = runs.OwnerID(owner)
			}
			return nil
		})
		return wrap("lock runs", err)
	})
}

// queueKeys inserts the dedupe keys that are free and reads the stored rows of all. If two
// processes insert the same key, one waits for the end of the other's transaction.
func queueKeys(q *pgx.Batch, b *batch) {
	if len(b.lookups.keys) == 0 {
		return
	}
	hashes := column(b.lookups.keys, func(k *record.DedupeRow) []byte { return k.Hash[:] })
	q.Queue(reserveKey+" SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::bytea[], $4::bigint[]) "+reserveConflict+"$5",
		hashes,
		column(b.lookups.keys, func(k *record.DedupeRow) []byte { return idOrNil(k.Run) }),
		column(b.lookups.keys, func(k *record.DedupeRow) []byte { return k.InputHash }),
		column(b.lookups.keys, func(k *record.DedupeRow) int64 { return k.Expires }),
		b.now)
	q.Queue("SELECT hash, run, input_hash FROM dedupe WHERE hash = ANY($1::bytea[])", hashes).Query(func(rows pgx.Rows) error {
		var hash, run, input []byte
		_, err := pgx.ForEachRow(rows, []any{&hash, &run, &input}, func() error {
			k := b.stored.keys[[16]byte(hash)]
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
	if len(b.lookups.waiting) == 0 {
		return
	}
	const query = "SELECT run, max(seq) FROM signals WHERE run = ANY($1::bytea[]) GROUP BY run"
	q.Queue(query, column(b.lookups.waiting, func(id runs.ID) []byte { return id[:] })).Query(func(rows pgx.Rows) error {
		var id []byte
		var seq int64
		_, err := pgx.ForEachRow(rows, []any{&id, &seq}, func() error {
			b.stored.runs[runs.ID(id)].unread = seq
			return nil
		})
		return wrap("read signals", err)
	})
}

func queueSignalIDs(q *pgx.Batch, b *batch) {
	if len(b.lookups.signals) == 0 {
		return
	}
	const query = "SELECT id, data FROM signals WHERE id = ANY($1::bytea[])"
	q.Queue(query, column(b.lookups.signals, func(id runs.ID) []byte { return id[:] })).Query(func(rows pgx.Rows) error {
		var id, data []byte
		_, err := pgx.ForEachRow(rows, []any{&id, &data}, func() error {
			b.stored.signals[runs.ID(id)] = bytes.Clone(data)
			return nil
		})
		return wrap("read signals", err)
	})
}

func queueStepChecks(q *pgx.Batch, b *batch) {
	_ = b.eachStepCheck(func(a *record.StepCheck) error { // queueing cannot fail
		q.Queue("SELECT status FROM steps WHERE run = $1 AND node = $2 AND idx = $3", a.Key.Run[:], a.NodeID, a.Key.Index).Query(func(rows pgx.Rows) error {
			var status int16
			_, err := pgx.ForEachRow(rows, []any{&status}, func() error {
				b.stored.steps[a.Key] = status
				return nil
			})
			return wrap("read steps", err)
		})
		return nil
	})
}

func queueInserts(q *pgx.Batch, b *batch) {
	if len(b.writes.inserts) == 0 {
		return
	}
	const query = "INSERT INTO runs (" + runColumns + `)
		SELECT id, origin, version, status, owner, fence, NULLIF(due_at, 0), created_at, NULLIF(fired_at, 0), NULLIF(scheduled_at, 0),
			NULLIF(started_at, 0), NULLIF(finished_at, 0), depth, cancel_requested, retry_of, failure, cause, input, output
		FROM unnest($1::bytea[], $2::int[], $3::int[], $4::smallint[], $5::bytea[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[],
			$10::bigint[], $11::bigint[], $12::bigint[], $13::smallint[], $14::smallint[], $15::bytea[], $16::bytea[], $17::bytea[],
			$18::bytea[], $19::bytea[]) AS t (` + runColumns + ")"
	rows := b.writes.inserts
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
	if len(b.writes.updates) == 0 {
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
	rows := b.writes.updates
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
	if len(b.writes.steps) == 0 {
		return
	}
	const query = "INSERT INTO steps (" + stepColumns + `)
		SELECT run, node, idx, status, NULLIF(started_at, 0), NULLIF(finished_at, 0), NULLIF(due_at, 0), failure, detail, output, NULLIF(credential, 0), NULLIF(hold, ''), sealed
		FROM unnest($1::bytea[], $2::int[], $3::int[], $4::smallint[], $5::bigint[], $6::bigint[], $7::bigint[],
			$8::bytea[], $9::bytea[], $10::bytea[], $11::int[], $12::text[], $13::bytea[]) AS t (` + stepColumns + ") " + stepConflict
	rows := b.writes.steps
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
	if len(b.writes.blobs) == 0 {
		return
	}
	q.Queue("INSERT INTO blobs (run, hash, data) SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::bytea[]) ON CONFLICT DO NOTHING",
		column(b.writes.blobs, func(v record.BlobRow) []byte { return v.Run[:] }),
		column(b.writes.blobs, func(v record.BlobRow) []byte { return v.Hash[:] }),
		column(b.writes.blobs, func(v record.BlobRow) []byte { return v.Data }))
}

func queueSignals(q *pgx.Batch, b *batch) {
	if len(b.writes.signals) > 0 {
		q.Queue(`INSERT INTO signals (id, run, kind, data)
			SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::text[], $4::bytea[]) ON CONFLICT (id) DO NOTHING`,
			column(b.writes.signals, func(s record.SignalRow) []byte { return s.ID[:] }),
			column(b.writes.signals, func(s record.SignalRow) []byte { return s.Run[:] }),
			column(b.writes.signals, func(s record.SignalRow) string { return s.Kind }),
			column(b.writes.signals, func(s record.SignalRow) []byte { return s.Data }))
	}
	if len(b.writes.consumed) > 0 {
		q.Queue("DELETE FROM signals USING unnest($1::bytea[], $2::bigint[]) AS t (run, seq) WHERE signals.run = t.run AND signals.seq <= t.seq",
			column(b.writes.consumed, (*liveRun).key),
			column(b.writes.consumed, func(r *liveRun) int64 { return r.readTo }))
	}
}

// queueOwners locks the rows of the owners. A beat is then stored either before the takeover, which
// sees it, or after, and its process finds that its runs have another owner. The lock is shared,
// so takeovers do not wait for one another. A beat or a leave locks nothing else.
func queueOwners(q *pgx.Batch, b *batch) {
	if len(b.lookups.owners) == 0 {
		return
	}
	// No condition on the beat: rows that do not meet it would not be locked.
	const query = "SELECT id, beat_at FROM owners WHERE id = ANY($1::bytea[]) ORDER BY id FOR SHARE"
	q.Queue(query, column(b.lookups.owners, func(id runs.OwnerID) []byte { return id[:] })).Query(func(rows pgx.Rows) error {
		var id []byte
		var number int64
		_, err := pgx.ForEachRow(rows, []any{&id, &number}, func() error {
			b.beat(id, number)
			return nil
		})
		return wrap("lock owners", err)
	})
}

func queueAnswers(q *pgx.Batch, b *batch) {
	if len(b.writes.answers) == 0 {
		return
	}
	q.Queue("INSERT INTO answers (run, data) SELECT * FROM unnest($1::bytea[], $2::bytea[]) ON CONFLICT DO NOTHING",
		column(b.writes.answers, func(a record.AnswerRow) []byte { return a.Run[:] }),
		column(b.writes.answers, func(a record.AnswerRow) []byte { return a.Data }))
}

func queueEvents(q *pgx.Batch, b *batch) {
	if len(b.writes.events) == 0 {
		return
	}
	rows := b.writes.events
	q.Queue("INSERT INTO event_outbox ("+eventColumns+`)
		SELECT * FROM unnest($1::bytea[], $2::text[], $3::text[], $4::text[], $5::text[], $6::smallint[], $7::bigint[], $8::bytea[])`+eventConflict,
		column(rows, func(e outbox.Event) []byte { return e.ID[:] }),
		column(rows, func(e outbox.Event) string { return e.Source }),
		column(rows, func(e outbox.Event) string { return e.Type }),
		column(rows, func(e outbox.Event) string { return e.Subject }),
		column(rows, func(e outbox.Event) string { return e.Folder }),
		column(rows, func(e outbox.Event) int16 { return int16(e.Depth) }), // at most MaxDepth + 1
		column(rows, func(e outbox.Event) int64 { return e.Time.UnixMicro() }),
		column(rows, func(e outbox.Event) []byte { return e.Data }))
}

// lockSlots reads the slot ledger, with one exchange for each group of statements.
func lockSlots(ctx context.Context, conn *pgx.Conn, b *batch) error {
	err := b.readSlots(func(statements []slotStatement) error {
		if len(statements) == 0 {
			return nil
		}
		q := &pgx.Batch{}
		queueSlotStatements(q, statements)
		return conn.SendBatch(ctx, q).Close()
	})
	b.sortRuns()
	return wrap("read slots", err)
}

func queueSlotWrites(q *pgx.Batch, b *batch) {
	if b.slots != nil {
		queueSlotStatements(q, append(b.slots.writes(), b.keyWrites()...))
	}
}

func queueSlotStatements(q *pgx.Batch, statements []slotStatement) {
	for i := range statements {
		each := statements[i].each
		queued := q.Queue(statements[i].numbered(), statements[i].args...)
		if each == nil {
			continue
		}
		queued.Query(func(rows pgx.Rows) error {
			for rows.Next() {
				row, err := rows.Values()
				if err != nil {
					return err
				}
				each(row)
			}
			return rows.Err()
		})
	}
}
