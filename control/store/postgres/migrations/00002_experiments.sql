-- +goose Up

CREATE TABLE experiments (
    namespace       TEXT COLLATE "C" NOT NULL,
    name            TEXT COLLATE "C" NOT NULL,
    phase           TEXT COLLATE "C" NOT NULL,
    active          BIGINT NOT NULL,
    revision        BIGINT NOT NULL,
    promoted_policy TEXT COLLATE "C" NOT NULL,
    created_at      BIGINT NOT NULL,
    created_by      TEXT COLLATE "C" NOT NULL,
    updated_at      BIGINT NOT NULL,
    updated_by      TEXT COLLATE "C" NOT NULL,
    spec_sha256     BYTEA NOT NULL,
    spec            BYTEA NOT NULL,
    PRIMARY KEY (namespace, name)
);
CREATE INDEX experiments_by_phase ON experiments (phase, namespace, name);
CREATE INDEX experiments_by_active ON experiments (active, namespace, name);

-- Each experiment has one row. It is apart because it is written all the time;
-- half of each page is left free, so that a row's new version finds room beside
-- the old one and no index changes.
CREATE TABLE experiment_states (
    namespace TEXT COLLATE "C" NOT NULL,
    name      TEXT COLLATE "C" NOT NULL,
    state     BYTEA NOT NULL,
    evidence  BYTEA NOT NULL,
    PRIMARY KEY (namespace, name)
) WITH (fillfactor = 50);
