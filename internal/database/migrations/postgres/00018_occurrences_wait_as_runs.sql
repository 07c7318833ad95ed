-- +goose Up
-- An occurrence that waits for the run before it is a queued run now. One that waits at the time of the
-- upgrade is planned once more.
UPDATE schedules SET next_at = held_at WHERE held_at IS NOT NULL;
ALTER TABLE schedules DROP COLUMN held_at;
