-- +goose Up

-- Events that runs tell of: where they come from, how many starts led to them, and how an event
-- that a workflow could not be started with yet goes on.
ALTER TABLE event_outbox ADD COLUMN source TEXT NOT NULL DEFAULT ''; -- '': /subject
ALTER TABLE event_outbox ADD COLUMN depth SMALLINT NOT NULL DEFAULT 0;
ALTER TABLE event_outbox ADD COLUMN due_at BIGINT NOT NULL DEFAULT 0; -- 0: never postponed
ALTER TABLE event_outbox ADD COLUMN attempts INT NOT NULL DEFAULT 0;
ALTER TABLE event_outbox ADD COLUMN left_to BLOB; -- JSON list; NULL: all
CREATE UNIQUE INDEX event_outbox_id ON event_outbox (id);
CREATE INDEX event_outbox_due ON event_outbox (due_at, seq);
