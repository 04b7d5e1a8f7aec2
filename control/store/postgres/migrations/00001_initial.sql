-- +goose Up

-- Times are microseconds since 1970, 0 for none. Those of samples are seconds.
-- COLLATE "C" compares text byte by byte, whatever the database's locale.

CREATE TABLE head (
    id             BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    audit_seq      BIGINT NOT NULL,
    audit_hash     BYTEA NOT NULL,
    policy_version BIGINT NOT NULL,
    kill_on        BIGINT NOT NULL,
    kill_reason    TEXT COLLATE "C" NOT NULL,
    kill_at        BIGINT NOT NULL,
    kill_by        TEXT COLLATE "C" NOT NULL,
    kill_version   BIGINT NOT NULL,
    rolled_until   BIGINT NOT NULL
);
INSERT INTO head VALUES (1, 0, decode(repeat('00', 32), 'hex'), 0, 0, '', 0, '', 0, 0);

CREATE TABLE policies (
    namespace   TEXT COLLATE "C" NOT NULL,
    name        TEXT COLLATE "C" NOT NULL,
    state       TEXT COLLATE "C" NOT NULL,
    revision    BIGINT NOT NULL,
    version     BIGINT NOT NULL,
    created_at  BIGINT NOT NULL,
    created_by  TEXT COLLATE "C" NOT NULL,
    updated_at  BIGINT NOT NULL,
    updated_by  TEXT COLLATE "C" NOT NULL,
    spec_sha256 BYTEA NOT NULL,
    spec        BYTEA NOT NULL,
    PRIMARY KEY (namespace, name)
);
CREATE INDEX policies_by_state ON policies (state, namespace, name);

CREATE TABLE policy_revisions (
    namespace      TEXT COLLATE "C" NOT NULL,
    name           TEXT COLLATE "C" NOT NULL,
    revision       BIGINT NOT NULL,
    state          TEXT COLLATE "C" NOT NULL,
    version        BIGINT NOT NULL,
    made_at        BIGINT NOT NULL,
    made_by        TEXT COLLATE "C" NOT NULL,
    rolled_back_to BIGINT NOT NULL,
    spec_sha256    BYTEA NOT NULL,
    spec           BYTEA NOT NULL,
    PRIMARY KEY (namespace, name, revision)
);

CREATE TABLE price_models (
    name        TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    revision    BIGINT NOT NULL,
    created_at  BIGINT NOT NULL,
    created_by  TEXT COLLATE "C" NOT NULL,
    updated_at  BIGINT NOT NULL,
    updated_by  TEXT COLLATE "C" NOT NULL,
    spec_sha256 BYTEA NOT NULL,
    spec        BYTEA NOT NULL
);

CREATE TABLE api_keys (
    id           TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    hash         BYTEA NOT NULL UNIQUE,
    name         TEXT COLLATE "C" NOT NULL,
    scopes       TEXT COLLATE "C" NOT NULL,
    namespaces   TEXT COLLATE "C" NOT NULL,
    created_at   BIGINT NOT NULL,
    created_by   TEXT COLLATE "C" NOT NULL,
    expires_at   BIGINT NOT NULL,
    revoked_at   BIGINT NOT NULL,
    revoked_by   TEXT COLLATE "C" NOT NULL,
    last_used_at BIGINT NOT NULL
);

CREATE TABLE audit (
    seq           BIGINT NOT NULL PRIMARY KEY,
    at            BIGINT NOT NULL,
    principal     TEXT COLLATE "C" NOT NULL,
    action        TEXT COLLATE "C" NOT NULL,
    outcome       TEXT COLLATE "C" NOT NULL,
    resource      TEXT COLLATE "C" NOT NULL,
    namespace     TEXT COLLATE "C" NOT NULL,
    origin        TEXT COLLATE "C" NOT NULL,
    request_id    TEXT COLLATE "C" NOT NULL,
    detail        TEXT COLLATE "C" NOT NULL,
    before_sha256 BYTEA NOT NULL,
    after_sha256  BYTEA NOT NULL,
    previous      BYTEA NOT NULL,
    hash          BYTEA NOT NULL
);
CREATE INDEX audit_by_time ON audit (at, seq);
CREATE INDEX audit_by_principal ON audit (principal, at, seq);
CREATE INDEX audit_by_resource ON audit (resource, at, seq);
CREATE INDEX audit_by_namespace ON audit (namespace, at, seq);

CREATE TABLE responses (
    principal      TEXT COLLATE "C" NOT NULL,
    request_key    TEXT COLLATE "C" NOT NULL,
    request_sha256 BYTEA NOT NULL,
    status         BIGINT NOT NULL,
    body           BYTEA NOT NULL,
    created_at     BIGINT NOT NULL,
    expires_at     BIGINT NOT NULL,
    PRIMARY KEY (principal, request_key)
);
CREATE INDEX responses_by_expiry ON responses (expires_at);

CREATE TABLE facts (
    fact_key   TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    value      BYTEA NOT NULL,
    revision   BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    updated_by TEXT COLLATE "C" NOT NULL
);

CREATE TABLE series (
    id         BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind       TEXT COLLATE "C" NOT NULL,
    series_key TEXT COLLATE "C" NOT NULL,
    UNIQUE (kind, series_key)
);

CREATE TABLE samples_fine (
    series_id BIGINT NOT NULL,
    at        BIGINT NOT NULL,
    value     DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (series_id, at)
);

CREATE TABLE samples_coarse (
    series_id BIGINT NOT NULL,
    at        BIGINT NOT NULL,
    mean      DOUBLE PRECISION NOT NULL,
    low       DOUBLE PRECISION NOT NULL,
    high      DOUBLE PRECISION NOT NULL,
    count     BIGINT NOT NULL,
    PRIMARY KEY (series_id, at)
);
