-- +goose Up
-- Which credential the requests of a step used, as a number, so that the uses of one are
-- found without reading history. Steps of earlier releases are not found.
CREATE TABLE credential_names (
  id   INTEGER NOT NULL PRIMARY KEY,
  name TEXT NOT NULL UNIQUE
) STRICT;

ALTER TABLE steps ADD COLUMN credential INTEGER;

CREATE INDEX steps_of_credential ON steps (credential, run, node, idx) WHERE credential IS NOT NULL;
