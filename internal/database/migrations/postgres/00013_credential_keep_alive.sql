-- +goose Up

-- Which credentials a process keeps alive while they are idle: those whose fields have keep_alive.
ALTER TABLE credentials ADD COLUMN kept_alive SMALLINT NOT NULL DEFAULT 0;
UPDATE credentials SET kept_alive = 1 WHERE EXISTS (
    SELECT 1 FROM credential_versions AS v
    WHERE v.credential = credentials.id AND v.version = credentials.version AND position(convert_to('"keep_alive"', 'UTF8') IN v.fields) > 0
);
CREATE INDEX credentials_kept_alive ON credentials (id) WHERE kept_alive = 1;
