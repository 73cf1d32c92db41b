-- What is known of the libraries' files. All of it can be read again from the disks.

-- ``id`` is the library's id in the state database; ``root``, ``dev`` and ``ino`` are what was
-- found there, so that another disk at the same place is noticed. The numbers are kept true by
-- the triggers below: a gauge must not count a million rows. ``bytes`` counts an inode once.
CREATE TABLE library (
    id INTEGER PRIMARY KEY,
    root BLOB NOT NULL,
    dev INTEGER,
    ino INTEGER,
    state TEXT NOT NULL DEFAULT 'ok',
    note TEXT NOT NULL DEFAULT '',
    files INTEGER NOT NULL DEFAULT 0,
    bytes INTEGER NOT NULL DEFAULT 0,
    pending INTEGER NOT NULL DEFAULT 0,
    unreadable INTEGER NOT NULL DEFAULT 0,
    scanned_at TEXT,
    changed_at TEXT
) STRICT;

-- ``path`` is relative to the root. ``folded`` is its visible text in lower case, for the filter.
-- (dev, ino, size, mtime_ns, ctime_ns) is the identity of what was seen at ``seen_at`` (ns since
-- 1970); dev and ino are unsigned on the disk and stored as SQLite's signed integers.
CREATE TABLE file (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    library INTEGER NOT NULL,
    path BLOB NOT NULL,
    folded TEXT NOT NULL,
    dev INTEGER NOT NULL,
    ino INTEGER NOT NULL,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    ctime_ns INTEGER NOT NULL,
    nlink INTEGER NOT NULL,
    blake3 BLOB,
    seen_at INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX file_by_path ON file (library, path);
CREATE INDEX file_by_inode ON file (library, dev, ino, size);
CREATE INDEX file_by_age ON file (library, mtime_ns);
CREATE INDEX file_by_size ON file (library, size);
CREATE INDEX file_pending ON file (library, id) WHERE blake3 IS NULL;

-- An inode weighs as much as the largest of its rows (they differ only while one is out of date).
CREATE TRIGGER file_added AFTER INSERT ON file BEGIN
    UPDATE library SET
        files = files + 1,
        pending = pending + (new.blake3 IS NULL),
        bytes = bytes + max(0, new.size - coalesce((
            SELECT max(size) FROM file
            WHERE library = new.library AND dev = new.dev AND ino = new.ino AND id <> new.id), 0))
    WHERE id = new.library;
END;

CREATE TRIGGER file_removed AFTER DELETE ON file BEGIN
    UPDATE library SET
        files = files - 1,
        pending = pending - (old.blake3 IS NULL),
        bytes = bytes - max(0, old.size - coalesce((
            SELECT max(size) FROM file
            WHERE library = old.library AND dev = old.dev AND ino = old.ino), 0))
    WHERE id = old.library;
END;

CREATE TRIGGER file_changed AFTER UPDATE OF dev, ino, size ON file BEGIN
    UPDATE library SET
        bytes = bytes
        - max(0, old.size - coalesce((
            SELECT max(size) FROM file
            WHERE library = old.library AND dev = old.dev AND ino = old.ino AND id <> old.id), 0))
        + max(0, new.size - coalesce((
            SELECT max(size) FROM file
            WHERE library = new.library AND dev = new.dev AND ino = new.ino AND id <> new.id), 0))
    WHERE id = new.library;
END;

CREATE TRIGGER file_hashed AFTER UPDATE OF blake3 ON file
WHEN (old.blake3 IS NULL) <> (new.blake3 IS NULL) BEGIN
    UPDATE library SET pending = pending + (new.blake3 IS NULL) - (old.blake3 IS NULL)
    WHERE id = new.library;
END;
