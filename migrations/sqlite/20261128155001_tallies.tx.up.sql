-- How many entries of a window are in each state, kept by the database itself with every change, so that showing it costs the
-- same however large the window is. Windows that were opened since have a row without a state: only theirs are whole. What decides
-- anything counts the entries themselves.
CREATE TABLE tallies (
    window_id   TEXT NOT NULL,
    state       TEXT NOT NULL,
    outcome     TEXT NOT NULL,
    on_rollback TEXT NOT NULL,
    total       INTEGER NOT NULL,
    PRIMARY KEY (window_id, state, outcome, on_rollback)
) STRICT, WITHOUT ROWID;
--bun:split
CREATE TRIGGER windows_added AFTER INSERT ON windows BEGIN
    INSERT INTO tallies (window_id, state, outcome, on_rollback, total) VALUES (NEW.id, '', '', '', 0);
END;
--bun:split
CREATE TRIGGER entries_added AFTER INSERT ON entries BEGIN
    INSERT INTO tallies (window_id, state, outcome, on_rollback, total)
    VALUES (NEW.window_id, NEW.state, NEW.outcome, NEW.on_rollback, 1)
    ON CONFLICT DO UPDATE SET total = total + 1;
END;
--bun:split
CREATE TRIGGER entries_moved AFTER UPDATE OF state, outcome, on_rollback ON entries
WHEN NEW.state <> OLD.state OR NEW.outcome <> OLD.outcome OR NEW.on_rollback <> OLD.on_rollback BEGIN
    INSERT INTO tallies (window_id, state, outcome, on_rollback, total)
    VALUES (OLD.window_id, OLD.state, OLD.outcome, OLD.on_rollback, -1), (NEW.window_id, NEW.state, NEW.outcome, NEW.on_rollback, 1)
    ON CONFLICT DO UPDATE SET total = total + excluded.total;
END;
--bun:split
CREATE TRIGGER entries_removed AFTER DELETE ON entries BEGIN
    INSERT INTO tallies (window_id, state, outcome, on_rollback, total)
    VALUES (OLD.window_id, OLD.state, OLD.outcome, OLD.on_rollback, -1)
    ON CONFLICT DO UPDATE SET total = total - 1;
END;
