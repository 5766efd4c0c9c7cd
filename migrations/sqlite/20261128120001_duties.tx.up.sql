-- Work that one replica does at a time. An embedded ledger has one process, so it stays empty here.
CREATE TABLE duties (
	name   TEXT PRIMARY KEY,
	holder TEXT NOT NULL,
	until  INTEGER NOT NULL
) WITHOUT ROWID;
