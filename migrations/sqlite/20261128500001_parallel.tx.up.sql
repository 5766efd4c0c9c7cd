-- At how many systems at once the run may undo.
ALTER TABLE rollbacks ADD COLUMN parallel INTEGER NOT NULL DEFAULT 1;
