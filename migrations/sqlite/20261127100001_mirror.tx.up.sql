-- How far each mirror has each window's journal. It may lag behind what the mirror has, never run ahead of it.
CREATE TABLE mirrored (
    mirror    TEXT NOT NULL,
    window_id TEXT NOT NULL,
    number    INTEGER NOT NULL,
    PRIMARY KEY (mirror, window_id)
) STRICT, WITHOUT ROWID;

-- The leaves of the tree that heads are signed over, only ever added to. place counts from 0, without gaps.
CREATE TABLE leaves (
    place     INTEGER PRIMARY KEY,
    window_id TEXT NOT NULL,
    number    INTEGER NOT NULL,
    hash      BLOB NOT NULL
) STRICT;

-- What the ledger knows of itself: its id, its newest signed head, why it is in safe mode.
CREATE TABLE facts (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
