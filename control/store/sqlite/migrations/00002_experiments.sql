-- +goose Up

CREATE TABLE experiments (
    namespace       TEXT    NOT NULL,
    name            TEXT    NOT NULL,
    phase           TEXT    NOT NULL,
    active          INTEGER NOT NULL,
    revision        INTEGER NOT NULL,
    promoted_policy TEXT    NOT NULL,
    created_at      INTEGER NOT NULL,
    created_by      TEXT    NOT NULL,
    updated_at      INTEGER NOT NULL,
    updated_by      TEXT    NOT NULL,
    spec_sha256     BLOB    NOT NULL,
    spec            BLOB    NOT NULL,
    PRIMARY KEY (namespace, name)
) STRICT;
CREATE INDEX experiments_by_phase ON experiments (phase, namespace, name);
CREATE INDEX experiments_by_active ON experiments (active, namespace, name);

-- Each experiment has one row. It is apart because it is written all the time.
CREATE TABLE experiment_states (
    namespace TEXT NOT NULL,
    name      TEXT NOT NULL,
    state     BLOB NOT NULL,
    evidence  BLOB NOT NULL,
    PRIMARY KEY (namespace, name)
) STRICT;
