-- +goose Up
CREATE TABLE accounts (
    name          TEXT PRIMARY KEY,
    password_hash TEXT NOT NULL,
    role          TEXT NOT NULL,
    folder        TEXT NOT NULL,
    created_at    BIGINT NOT NULL
);

-- One row for ever after the first administrator exists: its key is what makes two racing
-- set-ups impossible.
CREATE TABLE setup (
    id          SMALLINT PRIMARY KEY CHECK (id = 1),
    account     TEXT NOT NULL,
    finished_at BIGINT NOT NULL
);

CREATE TABLE sessions (
    token      TEXT PRIMARY KEY, -- SHA-256 of the cookie's value
    data       BLOB NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX sessions_expires_at ON sessions (expires_at);

CREATE TABLE api_tokens (
    id           TEXT PRIMARY KEY,
    name         TEXT NOT NULL UNIQUE,
    hash         BLOB NOT NULL UNIQUE, -- SHA-256 of the token
    role         TEXT NOT NULL,
    folder       TEXT NOT NULL,
    created_at   BIGINT NOT NULL,
    created_by   TEXT NOT NULL,
    expires_at   BIGINT,
    last_used_at BIGINT
);
