-- +goose Up
-- A step that waits for a credential to be connected names it. The output of a sensitive
-- node is sealed, beside an output that says nothing.
ALTER TABLE steps ADD COLUMN hold TEXT;
ALTER TABLE steps ADD COLUMN sealed BLOB;

CREATE INDEX steps_held ON steps (hold, run) WHERE hold IS NOT NULL;
