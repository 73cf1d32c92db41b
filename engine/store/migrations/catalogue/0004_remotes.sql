-- What is on remotes, as the last inventory of each folder told it; can be asked for again.

-- `remote` is the name with its colon, or '' for a folder of this machine. `hash`: the kind of the
-- files' hashes, '' where there are none. `at`: nanoseconds since 1970. `whole` 0 while it is taken:
-- such a one tells nothing, and goes when the engine starts.
CREATE TABLE remote_inventory (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    remote TEXT NOT NULL,
    folder TEXT NOT NULL,
    hash TEXT NOT NULL,
    at INTEGER NOT NULL,
    whole INTEGER NOT NULL DEFAULT 0,
    files INTEGER NOT NULL DEFAULT 0,
    bytes INTEGER NOT NULL DEFAULT 0
) STRICT;

-- `path` is below the folder, as rclone writes names. `size` -1: the remote does not tell.
CREATE TABLE remote_file (
    inventory INTEGER NOT NULL REFERENCES remote_inventory (id),
    path TEXT NOT NULL,
    size INTEGER NOT NULL,
    mtime_ns INTEGER,
    hash BLOB,
    PRIMARY KEY (inventory, path)
) STRICT, WITHOUT ROWID;

CREATE INDEX remote_file_by_hash ON remote_file (hash) WHERE hash IS NOT NULL;
CREATE INDEX remote_file_by_size ON remote_file (size, inventory);

-- How far an approved copy or sync came: `state` of each item that was begun. Read after a crash.
CREATE TABLE remote_act (
    approval INTEGER NOT NULL,
    item INTEGER NOT NULL,
    state TEXT NOT NULL,
    PRIMARY KEY (approval, item)
) STRICT, WITHOUT ROWID;
