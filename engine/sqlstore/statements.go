package sqlstore

// The parts of statements that both dialects share.
const (
	// The columns of a new run, in the order in which both insertRuns (SQLite) and queueInserts
	// (Postgres) give the values. What is read is in headColumns and fullColumns.
	runColumns = "id, origin, version, status, owner, fence, due_at, created_at, fired_at, scheduled_at, " +
		"started_at, finished_at, depth, cancel_requested, retry_of, failure, cause, input, output"

	stepColumns  = "run, node, idx, status, started_at, finished_at, due_at, failure, detail, output, credential, hold, sealed"
	stepConflict = "ON CONFLICT (run, node, idx) DO UPDATE SET status = excluded.status, " +
		"started_at = excluded.started_at, finished_at = excluded.finished_at, due_at = excluded.due_at, " +
		"failure = excluded.failure, detail = excluded.detail, output = excluded.output, " +
		"credential = excluded.credential, hold = excluded.hold, sealed = excluded.sealed"

	// A key that has expired is free again.
	reserveKey      = "INSERT INTO dedupe (hash, run, input_hash, expires_at)"
	reserveConflict = "ON CONFLICT (hash) DO UPDATE SET run = excluded.run, input_hash = excluded.input_hash, " +
		"expires_at = excluded.expires_at WHERE dedupe.expires_at <= "
)

// An event that was stored before, by a commit whose answer was lost, stays as it is.
const (
	eventColumns  = "id, source, type, subject, folder, depth, time, data"
	eventConflict = " ON CONFLICT (id) DO NOTHING"
)
