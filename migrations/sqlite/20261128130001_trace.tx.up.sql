-- The span that a run was asked for under, as a traceparent; empty: none.
ALTER TABLE rollbacks ADD COLUMN trace TEXT NOT NULL DEFAULT '';

-- How many windows are in which state, without reading them.
CREATE INDEX windows_state ON windows (state);
