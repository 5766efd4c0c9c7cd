-- The name that an effect or an undo gave the entry's resource, and since when; NULL: it kept its name.
ALTER TABLE entries ADD COLUMN alias BLOB;
--bun:split
CREATE INDEX entries_alias ON entries (window_id, seq) WHERE alias IS NOT NULL;
