-- Limits of systems over all replicas. Nothing here is a record of anything: unlogged tables write no WAL, so that a change waits for no
-- disk and no standby, and they are empty after a crash of the server or a promotion: limits count anew then. Times are of this
-- server's clock.

-- Turns at a paced system: when it was asked for one last, and how long after that the next one is free.
CREATE UNLOGGED TABLE turns (
	system   text PRIMARY KEY,
	every_us bigint NOT NULL, -- between two turns, as whoever asked last had it configured
	asked_at timestamptz NOT NULL,
	ahead_us bigint NOT NULL,
	given    boolean NOT NULL -- whoever asked last has got a turn
);

-- Calls under way at a system. A slot whose time is over is free; whoever asked for one in vain has the next go at one for a moment.
CREATE UNLOGGED TABLE slots (
	system       text NOT NULL,
	slot         bigint NOT NULL, -- from 0
	holder       text NOT NULL,   -- a random id of the call
	until        timestamptz NOT NULL,
	wanted_by    text NOT NULL,   -- a random id of the process
	wanted_until timestamptz NOT NULL,
	PRIMARY KEY (system, slot)
);

-- Undos that deleted at a system in the last minute, oldest first.
CREATE UNLOGGED TABLE deletions (
	system text PRIMARY KEY,
	times  timestamptz[] NOT NULL
);
