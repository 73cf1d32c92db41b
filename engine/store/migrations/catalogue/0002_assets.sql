-- What is known of a file beyond its place: since when, where it was, whether it is still intact,
-- what it holds and where it came from. Unlike the rows before, this cannot be read again from the
-- disks once it is gone there: this database is kept, not thrown away.

-- Nanoseconds since 1970: when the file was first met here; when its bytes were last read whole and
-- were those that `blake3` says. `damage`: '' none known, 'rotten' (the same identity, other bytes),
-- 'unreadable'.
ALTER TABLE file ADD COLUMN first_seen_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE file ADD COLUMN checked_at INTEGER;
ALTER TABLE file ADD COLUMN damage TEXT NOT NULL DEFAULT '';
UPDATE file SET first_seen_at = seen_at;

-- Changes that no event had told of, since the last look at everything that found none.
ALTER TABLE library ADD COLUMN drift INTEGER NOT NULL DEFAULT 0;

-- A file that moves from one library to another stays the same row.
CREATE TRIGGER file_rehomed AFTER UPDATE OF library ON file
WHEN new.library <> old.library BEGIN
    UPDATE library SET
        files = files - 1,
        pending = pending - (old.blake3 IS NULL),
        bytes = bytes - max(0, old.size - coalesce((
            SELECT max(size) FROM file
            WHERE library = old.library AND dev = old.dev AND ino = old.ino), 0))
    WHERE id = old.library;
    UPDATE library SET
        files = files + 1,
        pending = pending + (new.blake3 IS NULL),
        bytes = bytes + max(0, new.size - coalesce((
            SELECT max(size) FROM file
            WHERE library = new.library AND dev = new.dev AND ino = new.ino AND id <> new.id), 0))
    WHERE id = new.library;
END;

CREATE INDEX file_by_blake3 ON file (blake3) WHERE blake3 IS NOT NULL;
CREATE INDEX file_damaged ON file (library, damage) WHERE damage <> '';

-- Further hashes of the same bytes: md5, sha1, sha256. Gone when the bytes are others.
CREATE TABLE digest (
    file INTEGER NOT NULL REFERENCES file (id) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (file, kind)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER file_rewritten AFTER UPDATE OF blake3 ON file
WHEN new.blake3 IS NOT old.blake3 BEGIN
    DELETE FROM digest WHERE file = new.id;
END;

-- What happened to a file, also after it is gone (so no reference). `what`: moved, changed, gone,
-- returned, rotten, unreadable, mended. (library, path) is where it was before, `size` and `blake3`
-- what it held before. `note`: of a changed file 'unread' until its new bytes were read (if they
-- are the old ones, the row goes); of a rotten one the BLAKE3 that was found; of an unreadable one
-- the reason. `first_seen_at` is kept of what is gone, in case that it returns.
CREATE TABLE history (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    library INTEGER NOT NULL,
    file INTEGER NOT NULL,
    what TEXT NOT NULL,
    path BLOB NOT NULL,
    size INTEGER NOT NULL,
    blake3 BLOB,
    note TEXT NOT NULL DEFAULT '',
    first_seen_at INTEGER
) STRICT;

CREATE INDEX history_by_file ON history (file, id);
CREATE INDEX history_by_library ON history (library, id);
CREATE INDEX history_by_blake3 ON history (blake3) WHERE blake3 IS NOT NULL AND what = 'gone';
CREATE INDEX history_unread ON history (file) WHERE note = 'unread';

-- What the bytes hold, as a reader of its format found it: `type` by content (image/jpeg), `kind`
-- its family (image, video, audio, document, archive, other). (size, mtime_ns) is what was read.
-- Times in nanoseconds since 1970. `details`: everything else, as a JSON object of strings.
-- `problem`: why less is known than could be.
CREATE TABLE trait (
    file INTEGER PRIMARY KEY REFERENCES file (id) ON DELETE CASCADE,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    kind TEXT NOT NULL,
    type TEXT NOT NULL,
    taken_at INTEGER,
    camera TEXT NOT NULL DEFAULT '',
    latitude REAL,
    longitude REAL,
    width INTEGER,
    height INTEGER,
    duration_ms INTEGER,
    container TEXT NOT NULL DEFAULT '',
    codecs TEXT NOT NULL DEFAULT '',
    details TEXT NOT NULL DEFAULT '{}',
    problem TEXT NOT NULL DEFAULT ''
) STRICT;

CREATE INDEX trait_by_kind ON trait (kind, type);
CREATE INDEX trait_by_camera ON trait (camera) WHERE camera <> '';

-- Where a file came from: one row for each piece of evidence, the most telling first by
-- `confidence` (0 to 1). `kind`: url, torrent, download, remote, camera, appeared. `origin` and
-- `referrer` hold no credentials and no query. `evidence`: a JSON object of strings. `blake3`:
-- what the file held then, so that a file that went and came back keeps its source.
CREATE TABLE source (
    id INTEGER PRIMARY KEY,
    file INTEGER REFERENCES file (id) ON DELETE SET NULL,
    blake3 BLOB,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    origin TEXT NOT NULL DEFAULT '',
    referrer TEXT NOT NULL DEFAULT '',
    confidence REAL NOT NULL,
    evidence TEXT NOT NULL DEFAULT '{}'
) STRICT;

CREATE INDEX source_by_file ON source (file, confidence DESC);
CREATE INDEX source_by_blake3 ON source (blake3) WHERE file IS NULL AND blake3 IS NOT NULL;
