-- +goose Up
-- Runs that only so many of a group may go on at once (concurrency, overlap) have a slot each
-- from their start to their end. One row per workflow is the lock of all its groups.

CREATE TABLE admissions (
  workflow TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  version  INTEGER NOT NULL, -- of the definition that states the capacity; -1: none yet
  capacity INTEGER NOT NULL
);

CREATE TABLE slots (
  run      BYTEA NOT NULL,
  place    SMALLINT NOT NULL, -- in which order a run takes them: 0 of its trigger, 1 of its workflow
  workflow TEXT COLLATE "C" NOT NULL,
  grp      BYTEA NOT NULL,
  state    SMALLINT NOT NULL, -- 0: the one before is not held yet, 1: waits, 2: held
  PRIMARY KEY (run, place)
);

CREATE INDEX slots_of_group ON slots (grp, state, run);
CREATE INDEX slots_waiting ON slots (workflow, grp) WHERE state = 1;

-- The first due runs of each origin, for when there are more than a process can look at.
CREATE INDEX runs_due_of_origin ON runs (origin, due_at, id) WHERE owner IS NULL AND due_at IS NOT NULL;
