-- The windows whose open entries may stand in another window's way: few, beside all that ever were.
CREATE INDEX windows_live ON windows (id) WHERE state IN ('open', 'sealed', 'rolling_back', 'stuck');
