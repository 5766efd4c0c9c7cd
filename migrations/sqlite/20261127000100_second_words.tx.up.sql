-- Second words that a run asked for before it goes on at a system; NULL: none.
ALTER TABLE rollbacks ADD COLUMN words BLOB;
