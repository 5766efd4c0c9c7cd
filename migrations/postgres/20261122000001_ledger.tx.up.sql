-- Times are microseconds since 1970 in UTC, 0: never. The zero UUID: none.
-- Documents are bytea, never json or jsonb: their bytes come back as they were given.

-- The fence: whoever changes anything in a window changes this row in the same transaction.
CREATE TABLE windows (
    id          uuid PRIMARY KEY,
    state       text NOT NULL,
    resume      text NOT NULL,
    rollback_id uuid NOT NULL,
    last_seq    bigint NOT NULL,
    head_number bigint NOT NULL,
    head_hash   bytea NOT NULL,
    created_at  bigint NOT NULL,
    sealed_at   bigint NOT NULL,
    name        text NOT NULL,
    ticket      text NOT NULL,
    owner       text NOT NULL,
    opens_at    bigint NOT NULL,
    ends_at     bigint NOT NULL,
    buffer_ns   bigint NOT NULL,
    snapshot    text NOT NULL,
    labels      bytea
);

CREATE TABLE entries (
    id             uuid NOT NULL,
    window_id      uuid NOT NULL REFERENCES windows (id),
    seq            bigint NOT NULL,
    recorded_by    text NOT NULL,
    recorded_at    bigint NOT NULL,
    posted         bytea NOT NULL,    -- hash of the draft as it was posted
    system         text NOT NULL,
    kind           text NOT NULL,
    tag            text NOT NULL,
    state          text NOT NULL,
    on_rollback    text NOT NULL,
    open           boolean NOT NULL, -- not closed
    outcome        text NOT NULL,
    reason         text NOT NULL,
    detail         text NOT NULL,
    perform_by     bigint NOT NULL,
    late           boolean NOT NULL,
    doubted        boolean NOT NULL,
    warnings       bytea,
    resource_key   bytea,             -- NULL: matches nothing
    resource_ref   bigint,          -- of window, place and key, for an index of few pages; NULL like the key
    rollback_id    uuid NOT NULL,
    now_digest     text NOT NULL,
    now_image      bytea,             -- NULL: not known
    decision       bytea,
    not_before     bigint NOT NULL,
    applied_at     bigint NOT NULL,
    undone_at      bigint NOT NULL,
    journal_number bigint NOT NULL,
    journal_hash   bytea NOT NULL,
    body           bytea NOT NULL     -- the draft in the ledger's own format
);

CREATE UNIQUE INDEX entries_id ON entries (id);
CREATE UNIQUE INDEX entries_seq ON entries (window_id, seq);
CREATE INDEX entries_open ON entries (window_id, seq) WHERE open;
CREATE INDEX entries_doubted ON entries (window_id, seq) WHERE doubted;
CREATE INDEX entries_state ON entries (window_id, state, seq, outcome, on_rollback);
CREATE INDEX entries_resource ON entries (resource_ref) WHERE resource_ref IS NOT NULL;

CREATE TABLE attempts (
    entry_id    uuid NOT NULL REFERENCES entries (id),
    n           bigint NOT NULL,
    rollback_id uuid NOT NULL,
    epoch       bigint NOT NULL,
    seen        text NOT NULL,
    request     text NOT NULL,
    started_at  bigint NOT NULL,
    ended_at    bigint NOT NULL,
    result      text NOT NULL,
    status      bigint NOT NULL,
    burnt       boolean NOT NULL,
    detail      text NOT NULL,
    PRIMARY KEY (entry_id, n)
);

CREATE TABLE rollbacks (
    id           uuid PRIMARY KEY,
    window_id    uuid NOT NULL REFERENCES windows (id),
    state        text NOT NULL,
    waiting      bytea,
    selection    bytea,
    on_stuck     text NOT NULL,
    requested_by text NOT NULL,
    reason       text NOT NULL,
    again        boolean NOT NULL,
    cancelling   boolean NOT NULL,
    complete     boolean NOT NULL,
    created_at   bigint NOT NULL,
    started_at   bigint NOT NULL,
    finished_at  bigint NOT NULL,
    epoch        bigint NOT NULL,
    holder       text NOT NULL,
    lease_until  bigint NOT NULL
);

-- At most one run that is not over stands in a window.
CREATE UNIQUE INDEX rollbacks_unfinished ON rollbacks (window_id) WHERE state NOT IN ('finished', 'cancelled');

CREATE TABLE journal (
    window_id   uuid NOT NULL REFERENCES windows (id),
    number      bigint NOT NULL,
    kind        text NOT NULL,
    entry_id    text NOT NULL,
    rollback_id text NOT NULL,
    at          bigint NOT NULL,
    body        bytea NOT NULL,
    hash        bytea NOT NULL,
    PRIMARY KEY (window_id, number)
);

CREATE INDEX journal_rollback ON journal (window_id, rollback_id, number) WHERE rollback_id <> '';

CREATE TABLE tokens (
    id         text PRIMARY KEY,
    role       text NOT NULL,
    window_id  uuid NOT NULL,
    hash       bytea NOT NULL UNIQUE,
    created_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    revoked_at bigint NOT NULL
);

CREATE TABLE replies (
    token_id     text NOT NULL,
    method       text NOT NULL,
    path         text NOT NULL,
    key          text NOT NULL,
    request_hash bytea NOT NULL,
    status       bigint NOT NULL,
    header       bytea,
    body         bytea,
    at           bigint NOT NULL,
    PRIMARY KEY (token_id, method, path, key)
);

CREATE INDEX replies_at ON replies (at);
