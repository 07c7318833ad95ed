-- +goose Up
-- Schedules with seconds and bounds; what overlap and outages kept from running.
ALTER TABLE schedules ADD COLUMN seconds SMALLINT NOT NULL DEFAULT 0;
ALTER TABLE schedules ADD COLUMN from_at BIGINT;   -- null: no bound
ALTER TABLE schedules ADD COLUMN until_at BIGINT;
ALTER TABLE schedules ADD COLUMN held_at BIGINT;   -- the occurrence that waits for the run before it
ALTER TABLE schedules ADD COLUMN skipped BIGINT NOT NULL DEFAULT 0;

-- Each change of a workflow takes the next number, so that other processes read only what changed.
CREATE TABLE workflow_revision (
    id    SMALLINT PRIMARY KEY CHECK (id = 1),
    value BIGINT NOT NULL
);
ALTER TABLE workflows ADD COLUMN revision BIGINT NOT NULL DEFAULT 0;
UPDATE workflows SET revision = n.number
    FROM (SELECT id, ROW_NUMBER() OVER (ORDER BY id) AS number FROM workflows) n WHERE n.id = workflows.id;
INSERT INTO workflow_revision (id, value) SELECT 1, COUNT(*) FROM workflows;
CREATE UNIQUE INDEX workflows_revision ON workflows (revision);

-- Expired keys are found without reading the others.
CREATE INDEX dedupe_expiry ON dedupe (expires_at);
