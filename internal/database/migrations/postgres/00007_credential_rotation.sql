-- +goose Up

-- Proof that what a row says in clear is what was written; rows without one need their secrets again.
ALTER TABLE credentials ADD COLUMN binding BYTEA;

-- JSON: ciphertext per secret field of the candidate; NULL without a candidate.
ALTER TABLE credentials ADD COLUMN candidate BYTEA;

-- What made a version, where its secrets were meant to go (JSON), and the proof of both.
ALTER TABLE credential_versions ADD COLUMN origin TEXT NOT NULL DEFAULT 'edit';
ALTER TABLE credential_versions ADD COLUMN reach BYTEA;
ALTER TABLE credential_versions ADD COLUMN binding BYTEA;
