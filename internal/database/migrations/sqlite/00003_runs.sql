-- +goose Up
-- Rows are narrow: what many runs share (the workflow, its folder and trigger; the name of a
-- node) is a number here and a text in origins and node_names. Statuses are the numbers of
-- engine/sqlstore. Payloads are JSON, tagged when compressed or moved to blobs.

CREATE TABLE origins (
  id           INTEGER NOT NULL PRIMARY KEY,
  workflow     TEXT NOT NULL,
  folder       TEXT NOT NULL,
  trigger_id   TEXT NOT NULL,
  trigger_type TEXT NOT NULL,
  UNIQUE (workflow, folder, trigger_id, trigger_type)
) STRICT;

CREATE TABLE node_names (
  id   INTEGER NOT NULL PRIMARY KEY,
  name TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE runs (
  id               BLOB NOT NULL PRIMARY KEY,
  origin           INTEGER NOT NULL,
  version          INTEGER NOT NULL,
  status           INTEGER NOT NULL,
  owner            BLOB,
  fence            INTEGER NOT NULL,
  due_at           INTEGER, -- without an owner: when somebody should take the run
  created_at       INTEGER NOT NULL,
  fired_at         INTEGER, -- NULL: created_at
  scheduled_at     INTEGER,
  started_at       INTEGER,
  finished_at      INTEGER,
  depth            INTEGER NOT NULL,
  cancel_requested INTEGER NOT NULL,
  retry_of         BLOB,
  failure          BLOB,
  cause            BLOB, -- the trigger's request or event
  input            BLOB,
  output           BLOB
) STRICT, WITHOUT ROWID;

CREATE INDEX runs_of_origin ON runs (origin, id);
-- Running is found by owner and succeeded by walking the ids. The two conditions mean the
-- same; a query says which index it wants by repeating one of them.
CREATE INDEX runs_by_status ON runs (status, id) WHERE status IN (1, 3, 5, 6);
CREATE INDEX runs_of_origin_by_status ON runs (origin, status, id) WHERE status <> 2 AND status <> 4;
CREATE INDEX runs_of_owner ON runs (owner, id) WHERE owner IS NOT NULL;
CREATE INDEX runs_due ON runs (due_at, id) WHERE owner IS NULL AND due_at IS NOT NULL;

CREATE TABLE steps (
  run         BLOB NOT NULL,
  node        INTEGER NOT NULL,
  idx         INTEGER NOT NULL, -- -1 without for_each, and for its aggregate
  status      INTEGER NOT NULL,
  started_at  INTEGER,
  finished_at INTEGER,
  due_at      INTEGER,
  failure     BLOB,
  detail      BLOB, -- attempts and calls
  output      BLOB,
  PRIMARY KEY (run, node, idx)
) STRICT, WITHOUT ROWID;

CREATE TABLE blobs (
  run  BLOB NOT NULL,
  hash BLOB NOT NULL, -- the first 16 bytes of SHA-256 of the value
  data BLOB NOT NULL, -- zstd
  PRIMARY KEY (run, hash)
) STRICT;

CREATE TABLE signals (
  seq  INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, -- never given twice: an old "read up to" must not hit a new signal
  id   BLOB NOT NULL UNIQUE,
  run  BLOB NOT NULL,
  kind TEXT NOT NULL,
  data BLOB
) STRICT;

CREATE INDEX signals_of_run ON signals (run, seq);

CREATE TABLE dedupe (
  hash       BLOB NOT NULL PRIMARY KEY, -- the first 16 bytes of SHA-256 of workflow, kind, trigger and key
  run        BLOB, -- NULL: recorded without a run
  input_hash BLOB,
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE owners (
  id      BLOB NOT NULL PRIMARY KEY,
  beat_at INTEGER NOT NULL -- in the database's time
) STRICT, WITHOUT ROWID;
