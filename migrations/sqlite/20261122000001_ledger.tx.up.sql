-- Times are microseconds since 1970 in UTC, 0: never. Ids are UUIDs as text, the zero UUID: none.
-- Documents are BLOBs: their bytes come back as they were given. Flags are 0 or 1.

-- The fence: whoever changes anything in a window changes this row in the same transaction.
CREATE TABLE windows (
    id          TEXT PRIMARY KEY,
    state       TEXT NOT NULL,
    resume      TEXT NOT NULL,
    rollback_id TEXT NOT NULL,
    last_seq    INTEGER NOT NULL,
    head_number INTEGER NOT NULL,
    head_hash   BLOB NOT NULL,
    created_at  INTEGER NOT NULL,
    sealed_at   INTEGER NOT NULL,
    name        TEXT NOT NULL,
    ticket      TEXT NOT NULL,
    owner       TEXT NOT NULL,
    opens_at    INTEGER NOT NULL,
    ends_at     INTEGER NOT NULL,
    buffer_ns   INTEGER NOT NULL,
    snapshot    TEXT NOT NULL,
    labels      BLOB
) STRICT;

CREATE TABLE entries (
    id             TEXT NOT NULL,
    window_id      TEXT NOT NULL REFERENCES windows (id) DEFERRABLE INITIALLY DEFERRED,
    seq            INTEGER NOT NULL,
    recorded_by    TEXT NOT NULL,
    recorded_at    INTEGER NOT NULL,
    posted         BLOB NOT NULL,    -- hash of the draft as it was posted
    system         TEXT NOT NULL,
    kind           TEXT NOT NULL,
    tag            TEXT NOT NULL,
    state          TEXT NOT NULL,
    on_rollback    TEXT NOT NULL,
    open           INTEGER NOT NULL, -- not closed
    outcome        TEXT NOT NULL,
    reason         TEXT NOT NULL,
    detail         TEXT NOT NULL,
    perform_by     INTEGER NOT NULL,
    late           INTEGER NOT NULL,
    doubted        INTEGER NOT NULL,
    warnings       BLOB,
    resource_key   BLOB,             -- NULL: matches nothing
    resource_ref   INTEGER,         -- of window, place and key, for an index of few pages; NULL like the key
    rollback_id    TEXT NOT NULL,
    now_digest     TEXT NOT NULL,
    now_image      BLOB,             -- NULL: not known
    decision       BLOB,
    not_before     INTEGER NOT NULL,
    applied_at     INTEGER NOT NULL,
    undone_at      INTEGER NOT NULL,
    journal_number INTEGER NOT NULL,
    journal_hash   BLOB NOT NULL,
    body           BLOB NOT NULL     -- the draft in the ledger's own format
) STRICT;

CREATE UNIQUE INDEX entries_id ON entries (id);
CREATE UNIQUE INDEX entries_seq ON entries (window_id, seq);
CREATE INDEX entries_open ON entries (window_id, seq) WHERE open;
CREATE INDEX entries_doubted ON entries (window_id, seq) WHERE doubted;
CREATE INDEX entries_state ON entries (window_id, state, seq, outcome, on_rollback);
CREATE INDEX entries_resource ON entries (resource_ref) WHERE resource_ref IS NOT NULL;

CREATE TABLE attempts (
    entry_id    TEXT NOT NULL REFERENCES entries (id),
    n           INTEGER NOT NULL,
    rollback_id TEXT NOT NULL,
    epoch       INTEGER NOT NULL,
    seen        TEXT NOT NULL,
    request     TEXT NOT NULL,
    started_at  INTEGER NOT NULL,
    ended_at    INTEGER NOT NULL,
    result      TEXT NOT NULL,
    status      INTEGER NOT NULL,
    burnt       INTEGER NOT NULL,
    detail      TEXT NOT NULL,
    PRIMARY KEY (entry_id, n)
) STRICT, WITHOUT ROWID;

CREATE TABLE rollbacks (
    id           TEXT PRIMARY KEY,
    window_id    TEXT NOT NULL REFERENCES windows (id) DEFERRABLE INITIALLY DEFERRED,
    state        TEXT NOT NULL,
    waiting      BLOB,
    selection    BLOB,
    on_stuck     TEXT NOT NULL,
    requested_by TEXT NOT NULL,
    reason       TEXT NOT NULL,
    again        INTEGER NOT NULL,
    cancelling   INTEGER NOT NULL,
    complete     INTEGER NOT NULL,
    created_at   INTEGER NOT NULL,
    started_at   INTEGER NOT NULL,
    finished_at  INTEGER NOT NULL,
    epoch        INTEGER NOT NULL,
    holder       TEXT NOT NULL,
    lease_until  INTEGER NOT NULL
) STRICT;

-- At most one run that is not over stands in a window.
CREATE UNIQUE INDEX rollbacks_unfinished ON rollbacks (window_id) WHERE state NOT IN ('finished', 'cancelled');

CREATE TABLE journal (
    window_id   TEXT NOT NULL REFERENCES windows (id) DEFERRABLE INITIALLY DEFERRED,
    number      INTEGER NOT NULL,
    kind        TEXT NOT NULL,
    entry_id    TEXT NOT NULL,
    rollback_id TEXT NOT NULL,
    at          INTEGER NOT NULL,
    body        BLOB NOT NULL,
    hash        BLOB NOT NULL,
    PRIMARY KEY (window_id, number)
) STRICT;

CREATE INDEX journal_rollback ON journal (window_id, rollback_id, number) WHERE rollback_id <> '';

CREATE TABLE tokens (
    id         TEXT PRIMARY KEY,
    role       TEXT NOT NULL,
    window_id  TEXT NOT NULL,
    hash       BLOB NOT NULL UNIQUE,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    revoked_at INTEGER NOT NULL
) STRICT;

CREATE TABLE replies (
    token_id     TEXT NOT NULL,
    method       TEXT NOT NULL,
    path         TEXT NOT NULL,
    key          TEXT NOT NULL,
    request_hash BLOB NOT NULL,
    status       INTEGER NOT NULL,
    header       BLOB,
    body         BLOB,
    at           INTEGER NOT NULL,
    PRIMARY KEY (token_id, method, path, key)
) STRICT;

CREATE INDEX replies_at ON replies (at);
