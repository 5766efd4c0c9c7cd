-- How many entries of a window are in each state, kept by the database itself with every change, so that showing it costs the
-- same however large the window is. Windows that were opened since have a row without a state: only theirs are whole. What decides
-- anything counts the entries themselves.
CREATE TABLE tallies (
    window_id   uuid NOT NULL,
    state       text NOT NULL,
    outcome     text NOT NULL,
    on_rollback text NOT NULL,
    total       bigint NOT NULL,
    PRIMARY KEY (window_id, state, outcome, on_rollback)
) WITH (fillfactor = 50);
--bun:split
CREATE FUNCTION windows_added() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tallies (window_id, state, outcome, on_rollback, total) SELECT id, '', '', '', 0 FROM added;
    RETURN NULL;
END $$;
--bun:split
CREATE FUNCTION entries_removed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tallies AS t (window_id, state, outcome, on_rollback, total)
    SELECT window_id, state, outcome, on_rollback, -count(*) FROM removed GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
    ON CONFLICT (window_id, state, outcome, on_rollback) DO UPDATE SET total = t.total + excluded.total;
    RETURN NULL;
END $$;
--bun:split
CREATE TRIGGER windows_added AFTER INSERT ON windows REFERENCING NEW TABLE AS added
FOR EACH STATEMENT EXECUTE FUNCTION windows_added();
--bun:split
CREATE FUNCTION entries_added() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tallies AS t (window_id, state, outcome, on_rollback, total)
    SELECT window_id, state, outcome, on_rollback, count(*) FROM added GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
    ON CONFLICT (window_id, state, outcome, on_rollback) DO UPDATE SET total = t.total + excluded.total;
    RETURN NULL;
END $$;
--bun:split
CREATE FUNCTION entries_moved() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tallies AS t (window_id, state, outcome, on_rollback, total)
    SELECT window_id, state, outcome, on_rollback, sum(n) FROM (
        SELECT window_id, state, outcome, on_rollback, 1 AS n FROM moved_to
        UNION ALL SELECT window_id, state, outcome, on_rollback, -1 FROM moved_from
    ) AS moved GROUP BY 1, 2, 3, 4 HAVING sum(n) <> 0 ORDER BY 1, 2, 3, 4
    ON CONFLICT (window_id, state, outcome, on_rollback) DO UPDATE SET total = t.total + excluded.total;
    RETURN NULL;
END $$;
--bun:split
CREATE TRIGGER entries_added AFTER INSERT ON entries REFERENCING NEW TABLE AS added
FOR EACH STATEMENT EXECUTE FUNCTION entries_added();
--bun:split
CREATE TRIGGER entries_moved AFTER UPDATE ON entries REFERENCING OLD TABLE AS moved_from NEW TABLE AS moved_to
FOR EACH STATEMENT EXECUTE FUNCTION entries_moved();
--bun:split
CREATE TRIGGER entries_removed AFTER DELETE ON entries REFERENCING OLD TABLE AS removed
FOR EACH STATEMENT EXECUTE FUNCTION entries_removed();
