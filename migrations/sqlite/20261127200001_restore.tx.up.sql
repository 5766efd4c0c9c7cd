-- How a rollback restores the window's snapshot where it is asked to: a draft in the ledger's own format, like
-- entries.body. NULL: it cannot.
ALTER TABLE windows ADD COLUMN restore BLOB;

-- The run was asked to restore the snapshot.
ALTER TABLE rollbacks ADD COLUMN restore_snapshot INTEGER NOT NULL DEFAULT 0;
