-- +goose Up
-- What a respond node said to the caller of the webhook that started the run: JSON, tagged as
-- every payload. Most runs have none.
CREATE TABLE answers (
  run  BLOB NOT NULL PRIMARY KEY,
  data BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Runs that are deleted while rows of theirs are left. A run goes at once, what belongs to it
-- in portions, also when the process ends in between.
CREATE TABLE deleted_runs (
  run BLOB NOT NULL PRIMARY KEY
) STRICT, WITHOUT ROWID;
