-- +goose Up

-- The sooner end of expires_at and rotate_every, and when the next reminder of it is due.
ALTER TABLE credentials ADD COLUMN expires_at BIGINT;
ALTER TABLE credentials ADD COLUMN remind_at BIGINT;
CREATE INDEX credentials_expiring ON credentials (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX credentials_to_remind ON credentials (remind_at, id) WHERE remind_at IS NOT NULL;
CREATE INDEX credentials_by_state ON credentials (state, id);
CREATE INDEX credentials_last_used ON credentials (last_used_at);

-- Which nodes used a credential when they ran, by its literal id or through a template.
CREATE TABLE credential_usages (
    credential   TEXT NOT NULL REFERENCES credentials (id) ON DELETE CASCADE,
    workflow     TEXT NOT NULL,
    node         TEXT NOT NULL,
    last_used_at BIGINT NOT NULL,
    last_status  BIGINT NOT NULL, -- of the answer; 0 when there was none
    last_error   TEXT NOT NULL,   -- code of the step's error
    PRIMARY KEY (credential, workflow, node)
);

-- Events that are stored with the change they tell of, until they have been handed out.
CREATE TABLE event_outbox (
    seq     BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id      BYTEA NOT NULL, -- UUID
    type    TEXT NOT NULL,
    subject TEXT NOT NULL,
    folder  TEXT NOT NULL,
    time    BIGINT NOT NULL,
    data    BYTEA NOT NULL -- JSON
);

-- Which process hands events out, and until when it may.
CREATE TABLE event_lease (
    id         SMALLINT PRIMARY KEY CHECK (id = 1),
    holder     TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);
