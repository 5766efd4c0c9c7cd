-- Work that one replica does at a time, such as signing heads.
CREATE TABLE duties (
	name   text PRIMARY KEY,
	holder text NOT NULL,
	until  timestamptz NOT NULL -- by this server's clock
);
