-- +goose Up
-- Rows are narrow: what many runs share (the workflow, its folder and trigger; the name of a
-- node) is a number here and a text in origins and node_names. Statuses are the numbers of
-- engine/sqlstore. Payloads are JSON, tagged when compressed or moved to blobs.

CREATE TABLE origins (
  id           INTEGER GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  workflow     TEXT NOT NULL,
  folder       TEXT NOT NULL,
  trigger_id   TEXT NOT NULL,
  trigger_type TEXT NOT NULL,
  UNIQUE (workflow, folder, trigger_id, trigger_type)
);

CREATE TABLE node_names (
  id   INTEGER GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name TEXT NOT NULL UNIQUE
);

CREATE TABLE runs (
  id               BYTEA NOT NULL PRIMARY KEY,
  origin           INTEGER NOT NULL,
  version          INTEGER NOT NULL,
  status           SMALLINT NOT NULL,
  owner            BYTEA,
  fence            BIGINT NOT NULL,
  due_at           BIGINT, -- without an owner: when somebody should take the run
  created_at       BIGINT NOT NULL,
  fired_at         BIGINT, -- NULL: created_at
  scheduled_at     BIGINT,
  started_at       BIGINT,
  finished_at      BIGINT,
  depth            SMALLINT NOT NULL,
  cancel_requested SMALLINT NOT NULL,
  retry_of         BYTEA,
  failure          BYTEA,
  cause            BYTEA, -- the trigger's request or event
  input            BYTEA,
  output           BYTEA
);

CREATE INDEX runs_of_origin ON runs (origin, id);
-- Running is found by owner and succeeded by walking the ids. The two conditions mean the
-- same; a query says which index it wants by repeating one of them.
CREATE INDEX runs_by_status ON runs (status, id) WHERE status IN (1, 3, 5, 6);
CREATE INDEX runs_of_origin_by_status ON runs (origin, status, id) WHERE status <> 2 AND status <> 4;
CREATE INDEX runs_of_owner ON runs (owner, id) WHERE owner IS NOT NULL;
CREATE INDEX runs_due ON runs (due_at, id) WHERE owner IS NULL AND due_at IS NOT NULL;

CREATE TABLE steps (
  run         BYTEA NOT NULL,
  node        INTEGER NOT NULL,
  idx         INTEGER NOT NULL, -- -1 without for_each, and for its aggregate
  status      SMALLINT NOT NULL,
  started_at  BIGINT,
  finished_at BIGINT,
  due_at      BIGINT,
  failure     BYTEA,
  detail      BYTEA, -- attempts and calls
  output      BYTEA,
  PRIMARY KEY (run, node, idx)
);

CREATE TABLE blobs (
  run  BYTEA NOT NULL,
  hash BYTEA NOT NULL, -- the first 16 bytes of SHA-256 of the value
  data BYTEA NOT NULL, -- zstd
  PRIMARY KEY (run, hash)
);

CREATE TABLE signals (
  seq  BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- never given twice: an old "read up to" must not hit a new signal
  id   BYTEA NOT NULL UNIQUE,
  run  BYTEA NOT NULL,
  kind TEXT NOT NULL,
  data BYTEA
);

CREATE INDEX signals_of_run ON signals (run, seq);

CREATE TABLE dedupe (
  hash       BYTEA NOT NULL PRIMARY KEY, -- the first 16 bytes of SHA-256 of workflow, kind, trigger and key
  run        BYTEA, -- NULL: recorded without a run
  input_hash BYTEA,
  expires_at BIGINT NOT NULL
);

CREATE TABLE owners (
  id      BYTEA NOT NULL PRIMARY KEY,
  beat_at BIGINT NOT NULL -- in the database's time
);
