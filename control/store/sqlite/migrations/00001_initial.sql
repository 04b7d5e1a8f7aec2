-- +goose Up

-- Times are microseconds since 1970, 0 for none. Those of samples are seconds.

CREATE TABLE head (
    id             INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    audit_seq      INTEGER NOT NULL,
    audit_hash     BLOB    NOT NULL,
    policy_version INTEGER NOT NULL,
    kill_on        INTEGER NOT NULL,
    kill_reason    TEXT    NOT NULL,
    kill_at        INTEGER NOT NULL,
    kill_by        TEXT    NOT NULL,
    kill_version   INTEGER NOT NULL,
    rolled_until   INTEGER NOT NULL
) STRICT;
INSERT INTO head VALUES (1, 0, zeroblob(32), 0, 0, '', 0, '', 0, 0);

CREATE TABLE policies (
    namespace   TEXT    NOT NULL,
    name        TEXT    NOT NULL,
    state       TEXT    NOT NULL,
    revision    INTEGER NOT NULL,
    version     INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    created_by  TEXT    NOT NULL,
    updated_at  INTEGER NOT NULL,
    updated_by  TEXT    NOT NULL,
    spec_sha256 BLOB    NOT NULL,
    spec        BLOB    NOT NULL,
    PRIMARY KEY (namespace, name)
) STRICT;
CREATE INDEX policies_by_state ON policies (state, namespace, name);

CREATE TABLE policy_revisions (
    namespace      TEXT    NOT NULL,
    name           TEXT    NOT NULL,
    revision       INTEGER NOT NULL,
    state          TEXT    NOT NULL,
    version        INTEGER NOT NULL,
    made_at        INTEGER NOT NULL,
    made_by        TEXT    NOT NULL,
    rolled_back_to INTEGER NOT NULL,
    spec_sha256    BLOB    NOT NULL,
    spec           BLOB    NOT NULL,
    PRIMARY KEY (namespace, name, revision)
) STRICT;

CREATE TABLE price_models (
    name        TEXT    NOT NULL PRIMARY KEY,
    revision    INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    created_by  TEXT    NOT NULL,
    updated_at  INTEGER NOT NULL,
    updated_by  TEXT    NOT NULL,
    spec_sha256 BLOB    NOT NULL,
    spec        BLOB    NOT NULL
) STRICT;

CREATE TABLE api_keys (
    id           TEXT    NOT NULL PRIMARY KEY,
    hash         BLOB    NOT NULL UNIQUE,
    name         TEXT    NOT NULL,
    scopes       TEXT    NOT NULL,
    namespaces   TEXT    NOT NULL,
    created_at   INTEGER NOT NULL,
    created_by   TEXT    NOT NULL,
    expires_at   INTEGER NOT NULL,
    revoked_at   INTEGER NOT NULL,
    revoked_by   TEXT    NOT NULL,
    last_used_at INTEGER NOT NULL
) STRICT;

CREATE TABLE audit (
    seq           INTEGER NOT NULL PRIMARY KEY,
    at            INTEGER NOT NULL,
    principal     TEXT    NOT NULL,
    action        TEXT    NOT NULL,
    outcome       TEXT    NOT NULL,
    resource      TEXT    NOT NULL,
    namespace     TEXT    NOT NULL,
    origin        TEXT    NOT NULL,
    request_id    TEXT    NOT NULL,
    detail        TEXT    NOT NULL,
    before_sha256 BLOB    NOT NULL,
    after_sha256  BLOB    NOT NULL,
    previous      BLOB    NOT NULL,
    hash          BLOB    NOT NULL
) STRICT;
CREATE INDEX audit_by_time ON audit (at, seq);
CREATE INDEX audit_by_principal ON audit (principal, at, seq);
CREATE INDEX audit_by_resource ON audit (resource, at, seq);
CREATE INDEX audit_by_namespace ON audit (namespace, at, seq);

CREATE TABLE responses (
    principal      TEXT    NOT NULL,
    request_key    TEXT    NOT NULL,
    request_sha256 BLOB    NOT NULL,
    status         INTEGER NOT NULL,
    body           BLOB    NOT NULL,
    created_at     INTEGER NOT NULL,
    expires_at     INTEGER NOT NULL,
    PRIMARY KEY (principal, request_key)
) STRICT;
CREATE INDEX responses_by_expiry ON responses (expires_at);

CREATE TABLE facts (
    fact_key   TEXT    NOT NULL PRIMARY KEY,
    value      BLOB    NOT NULL,
    revision   INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    updated_by TEXT    NOT NULL
) STRICT;

CREATE TABLE series (
    id         INTEGER NOT NULL PRIMARY KEY,
    kind       TEXT    NOT NULL,
    series_key TEXT    NOT NULL,
    UNIQUE (kind, series_key)
) STRICT;

-- Samples of a series are together, in order of time.
CREATE TABLE samples_fine (
    series_id INTEGER NOT NULL,
    at        INTEGER NOT NULL,
    value     REAL    NOT NULL,
    PRIMARY KEY (series_id, at)
) STRICT, WITHOUT ROWID;

CREATE TABLE samples_coarse (
    series_id INTEGER NOT NULL,
    at        INTEGER NOT NULL,
    mean      REAL    NOT NULL,
    low       REAL    NOT NULL,
    high      REAL    NOT NULL,
    count     INTEGER NOT NULL,
    PRIMARY KEY (series_id, at)
) STRICT, WITHOUT ROWID;
