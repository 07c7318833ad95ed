-- +goose Up
CREATE TABLE schedules (
    workflow   TEXT COLLATE "C" NOT NULL,
    trigger_id TEXT COLLATE "C" NOT NULL,
    schedule   TEXT NOT NULL,
    timezone   TEXT NOT NULL,
    anchor     BIGINT NOT NULL,   -- what "@every" counts from
    revision   BIGINT NOT NULL,   -- grows with each arming: an older claim changes nothing
    next_at    BIGINT,            -- null: nothing planned
    missed     BIGINT NOT NULL,   -- occurrences too old to be made up
    PRIMARY KEY (workflow, trigger_id)
);
CREATE INDEX schedules_due ON schedules (next_at, workflow, trigger_id) WHERE next_at IS NOT NULL;
