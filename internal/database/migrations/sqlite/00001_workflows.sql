-- +goose Up
CREATE TABLE workflows (
    id         TEXT PRIMARY KEY,
    name       TEXT NOT NULL,
    folder     TEXT NOT NULL,
    version    BIGINT NOT NULL,   -- number of the current version; goes on after a delete
    digest     BLOB NOT NULL,     -- of the current definition: equal means unchanged
    enabled    SMALLINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    updated_by TEXT NOT NULL,
    deleted_at BIGINT             -- its versions stay readable for running runs and history
);

CREATE TABLE workflow_versions (
    workflow   TEXT NOT NULL,
    number     BIGINT NOT NULL,
    source     BLOB NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    PRIMARY KEY (workflow, number)
);

-- Who names which credential literally, in current definitions.
CREATE TABLE workflow_credentials (
    credential TEXT NOT NULL,
    workflow   TEXT NOT NULL,
    place      BIGINT NOT NULL,   -- order within the workflow
    node       TEXT NOT NULL,     -- "" for a trigger
    trigger_id TEXT NOT NULL,     -- "" for a node
    PRIMARY KEY (credential, workflow, place)
);
CREATE INDEX workflow_credentials_workflow ON workflow_credentials (workflow);
