-- At how many systems at once the run may undo.
ALTER TABLE rollbacks ADD COLUMN parallel integer NOT NULL DEFAULT 1;
