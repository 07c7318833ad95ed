-- +goose Up
-- The folder below which whoever applied the version may start workflows: so far reach those that it names.
ALTER TABLE workflow_versions ADD COLUMN start_scope TEXT NOT NULL DEFAULT '';
