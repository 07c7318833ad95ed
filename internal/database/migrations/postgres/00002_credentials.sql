-- +goose Up

-- The number of the last edit of any credential; every edit takes the next one.
CREATE TABLE credential_revision (
    id    SMALLINT PRIMARY KEY CHECK (id = 1),
    value BIGINT NOT NULL
);
INSERT INTO credential_revision (id, value) VALUES (1, 0);

-- One sealed text that proves that the master key fits.
CREATE TABLE credential_canary (
    id     SMALLINT PRIMARY KEY CHECK (id = 1),
    sealed BYTEA NOT NULL
);

CREATE TABLE credentials (
    id              TEXT COLLATE "C" PRIMARY KEY,
    name            TEXT NOT NULL,
    folder          TEXT NOT NULL,
    type            TEXT NOT NULL,
    details         BYTEA NOT NULL, -- JSON: what is only read together
    fingerprint_key BYTEA NOT NULL, -- sealed
    version         BIGINT NOT NULL,
    revision        BIGINT NOT NULL,
    grant_revision  BIGINT NOT NULL,
    state           TEXT NOT NULL,
    state_message   TEXT NOT NULL,
    state_since     BIGINT NOT NULL,
    created_at      BIGINT NOT NULL,
    created_by      TEXT NOT NULL,
    updated_at      BIGINT NOT NULL,
    updated_by      TEXT NOT NULL,
    last_used_at    BIGINT
);

CREATE TABLE credential_versions (
    credential TEXT COLLATE "C" NOT NULL REFERENCES credentials (id) ON DELETE CASCADE,
    version    BIGINT NOT NULL,
    fields     BYTEA NOT NULL, -- JSON: the plain fields
    secrets    BYTEA NOT NULL, -- JSON: what is told of the secret fields
    sealed     BYTEA NOT NULL, -- JSON: ciphertext per secret field, base64
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    PRIMARY KEY (credential, version)
);

CREATE TABLE credential_tokens (
    credential      TEXT COLLATE "C" PRIMARY KEY REFERENCES credentials (id) ON DELETE CASCADE,
    generation      BIGINT NOT NULL,
    grant_revision  BIGINT NOT NULL,
    sealed          BYTEA,
    renewal_started BIGINT
);

CREATE TABLE credential_connects (
    hash           BYTEA PRIMARY KEY,
    credential     TEXT COLLATE "C" NOT NULL REFERENCES credentials (id) ON DELETE CASCADE,
    session        TEXT NOT NULL,
    grant_revision BIGINT NOT NULL,
    sealed         BYTEA NOT NULL,
    expires_at     BIGINT NOT NULL
);
