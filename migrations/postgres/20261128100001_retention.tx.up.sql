-- What retention removed of the window, in the ledger's own format; NULL: nothing. The number of the record that says so, and
-- the highest entry that was removed, stand beside it for queries; 0: none.
ALTER TABLE windows ADD COLUMN pruned BYTEA;
--bun:split
ALTER TABLE windows ADD COLUMN pruned_number BIGINT NOT NULL DEFAULT 0;
--bun:split
ALTER TABLE windows ADD COLUMN pruned_seq BIGINT NOT NULL DEFAULT 0;
--bun:split
CREATE INDEX windows_pruned ON windows (id) WHERE pruned_number > 0;
