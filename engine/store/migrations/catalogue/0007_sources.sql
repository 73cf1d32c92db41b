-- Where files came from, and which torrent clients hold them. What a file's bytes came from outlives
-- its row here: it is found again by its hash.

-- The server that `origin` names (of a torrent: its tracker), '' where it names none.
ALTER TABLE source ADD COLUMN host TEXT NOT NULL DEFAULT '';
CREATE INDEX source_by_host ON source (kind, host, file);

-- A file goes: its sources wait for its bytes. Without a hash nobody could tell whose they are.
CREATE TRIGGER source_left BEFORE DELETE ON file BEGIN
    DELETE FROM source WHERE file = old.id AND coalesce(blake3, old.blake3) IS NULL;
    UPDATE source SET blake3 = old.blake3 WHERE file = old.id AND blake3 IS NULL;
END;

-- The bytes come back. Empty files are all alike.
CREATE TRIGGER source_found AFTER INSERT ON file
WHEN new.blake3 IS NOT NULL AND new.size > 0
    AND EXISTS (SELECT 1 FROM source WHERE file IS NULL AND blake3 = new.blake3) BEGIN
    UPDATE source SET file = new.id WHERE file IS NULL AND blake3 = new.blake3;
END;
CREATE TRIGGER source_found_later AFTER UPDATE OF blake3 ON file
WHEN new.blake3 IS NOT NULL AND new.blake3 IS NOT old.blake3 AND new.size > 0
    AND EXISTS (SELECT 1 FROM source WHERE file IS NULL AND blake3 = new.blake3) BEGIN
    UPDATE source SET file = new.id WHERE file IS NULL AND blake3 = new.blake3;
END;

-- A torrent as its client told it `at` that time (nanoseconds since 1970). `tracker` is a host: the
-- addresses hold keys. `state`: seeding, downloading, paused, checking, failing, unknown, or
-- removed: the client has it no more. `private` NULL: it does not say. `files` of them, `missing`
-- those that are not where its paths lead on this machine, the first of which is `example`.
CREATE TABLE torrent (
    client TEXT NOT NULL,
    infohash TEXT NOT NULL,
    name TEXT NOT NULL,
    tracker TEXT NOT NULL,
    category TEXT NOT NULL,
    labels TEXT NOT NULL,
    ratio REAL NOT NULL,
    seeding_s INTEGER NOT NULL,
    private INTEGER,
    state TEXT NOT NULL,
    added_at INTEGER,
    files INTEGER NOT NULL,
    missing INTEGER NOT NULL,
    example BLOB,
    at INTEGER NOT NULL,
    PRIMARY KEY (client, infohash)
) STRICT, WITHOUT ROWID;

CREATE INDEX torrent_by_hash ON torrent (infohash);

-- Which catalogued files a client holds. `how` that is known: 'inode' (the very file, under whatever
-- name), 'path' (path and size), 'name' (only name and size: its path leads nowhere here).
CREATE TABLE claim (
    client TEXT NOT NULL,
    infohash TEXT NOT NULL,
    file INTEGER NOT NULL REFERENCES file (id) ON DELETE CASCADE,
    how TEXT NOT NULL,
    PRIMARY KEY (client, infohash, file)
) STRICT, WITHOUT ROWID;

CREATE INDEX claim_by_file ON claim (file);
