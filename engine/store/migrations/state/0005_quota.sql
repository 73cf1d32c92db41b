CREATE TABLE quota_limit (
    library TEXT PRIMARY KEY,
    max_bytes INTEGER NOT NULL CHECK (max_bytes > 0)
) STRICT;

-- Plans are never deleted: a number is used once.
CREATE TABLE prune_plan (
    number INTEGER PRIMARY KEY,
    library TEXT NOT NULL,
    machine TEXT NOT NULL,
    digest TEXT NOT NULL,
    state TEXT NOT NULL,
    created_at TEXT NOT NULL,
    root BLOB NOT NULL,
    root_dev INTEGER NOT NULL,
    root_ino INTEGER NOT NULL,
    max_bytes INTEGER NOT NULL,
    used INTEGER NOT NULL,
    target INTEGER NOT NULL,
    moves INTEGER NOT NULL,
    shortfall INTEGER NOT NULL,
    frees_on_purge INTEGER NOT NULL,
    -- The newest approval that asks for it ends then; NULL: nobody was asked.
    asked_until TEXT,
    -- The folder inside the trash, known before the first file moves.
    folder TEXT,
    trashed_at TEXT
) STRICT;

CREATE INDEX prune_plan_by_library ON prune_plan (library, state);

-- The journal. ``place`` is library, trash, restored or gone; moving, returning and deleting are
-- intents: written before the disk is touched, and settled by looking at it after a crash.
CREATE TABLE prune_item (
    plan INTEGER NOT NULL REFERENCES prune_plan (number),
    n INTEGER NOT NULL,
    path BLOB NOT NULL,
    dev INTEGER NOT NULL,
    ino INTEGER NOT NULL,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    ctime_ns INTEGER NOT NULL,
    nlink INTEGER NOT NULL,
    frees INTEGER NOT NULL,
    blake3 TEXT,
    place TEXT NOT NULL DEFAULT 'library',
    PRIMARY KEY (plan, n)
) STRICT, WITHOUT ROWID;
