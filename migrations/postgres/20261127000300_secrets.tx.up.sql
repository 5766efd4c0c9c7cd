-- The data key of an entry's secret fields, wrapped under the ledger's key. It stands beside the entry and outside
-- its journal, so that a rotation can wrap it anew. NULL: the entry has no secret fields.
ALTER TABLE entries ADD COLUMN data_key bytea;

CREATE INDEX entries_data_key ON entries (id) WHERE data_key IS NOT NULL;

-- What belongs to the ledger as a whole: "root" is what fingerprints are made with, wrapped likewise.
CREATE TABLE ledger_keys (
    name    text PRIMARY KEY,
    wrapped bytea NOT NULL
);
