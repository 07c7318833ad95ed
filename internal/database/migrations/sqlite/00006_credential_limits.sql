-- +goose Up

-- Until when the state holds, for a used-up quota; NULL for the other states.
ALTER TABLE credentials ADD COLUMN state_until BIGINT;

-- Which process renews the token of a credential, and until when it may.
CREATE TABLE credential_leases (
    credential TEXT PRIMARY KEY REFERENCES credentials (id) ON DELETE CASCADE,
    holder     TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);

-- One row per credential with limits: its lock makes those who ask for permits follow one another.
CREATE TABLE credential_limits (
    credential TEXT PRIMARY KEY REFERENCES credentials (id) ON DELETE CASCADE
);

-- Requests that count against a limit until expires_at.
CREATE TABLE credential_requests (
    credential TEXT NOT NULL REFERENCES credentials (id) ON DELETE CASCADE,
    expires_at BIGINT NOT NULL,
    requests   BIGINT NOT NULL,
    PRIMARY KEY (credential, expires_at)
);

-- How many requests at once each process may have.
CREATE TABLE credential_slots (
    credential TEXT NOT NULL REFERENCES credentials (id) ON DELETE CASCADE,
    holder     TEXT NOT NULL,
    slots      BIGINT NOT NULL,
    wanted     BIGINT NOT NULL,
    since      BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (credential, holder)
);
