-- How far each mirror has each window's journal. It may lag behind what the mirror has, never run ahead of it.
CREATE TABLE mirrored (
    mirror    text NOT NULL,
    window_id uuid NOT NULL,
    number    bigint NOT NULL,
    PRIMARY KEY (mirror, window_id)
);

-- The leaves of the tree that heads are signed over, only ever added to. place counts from 0, without gaps.
CREATE TABLE leaves (
    place     bigint PRIMARY KEY,
    window_id uuid NOT NULL,
    number    bigint NOT NULL,
    hash      bytea NOT NULL
);

-- What the ledger knows of itself: its id, its newest signed head, why it is in safe mode.
CREATE TABLE facts (
    name  text PRIMARY KEY,
    value bytea NOT NULL
);
