-- What lists are narrowed, searched and sorted by, a second time: column by column for 1,024 files
-- each, by id. To look through a million files so takes a twentieth of a second, in whatever order.
-- Made behind everything else, where somebody lists files; what is not made yet, or no longer true,
-- is not there. The blocks of names alone were the beginning of it.
DROP TRIGGER file_renamed;
DROP TRIGGER file_unnamed;
DROP TABLE name_block;

-- Arrays in little-endian order, a value for each file of the block: `folder` (16 bits: its place in
-- `folders`), `id` less the block's first (16), `library` (32), `look` (32), `state` (8: pending,
-- sound, damaged, unreadable; 4 more where `taken_at` is known), `sources` (16: a bit for each
-- kind), sizes and times (64). `folders` are paths as on the disk, with NUL between them. NULL:
-- about to be made.
CREATE TABLE file_block (
    block INTEGER PRIMARY KEY,
    folder BLOB,
    folders BLOB,
    id BLOB,
    library BLOB,
    look BLOB,
    state BLOB,
    sources BLOB,
    size BLOB,
    mtime_ns BLOB,
    taken_at BLOB,
    first_seen_at BLOB
) STRICT;

-- The names of the files of a block that there is, in the same order and with NUL between them: apart,
-- since numbers are mostly looked through without. `folded_folders` and `folded_names` are as the
-- filter compares them, where that is more than ASCII letters in lower case.
CREATE TABLE block_name (
    block INTEGER PRIMARY KEY,
    names BLOB NOT NULL,
    folded_folders BLOB NOT NULL,
    folded_names BLOB NOT NULL
) STRICT;

-- Each kind with each type and camera that a block has met; '' is none.
CREATE TABLE look (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    type TEXT NOT NULL,
    camera TEXT NOT NULL,
    UNIQUE (kind, type, camera)
) STRICT;

-- A new file has an id that none had before, and a block is made when all of its ids were given.
CREATE TRIGGER file_unlike AFTER UPDATE OF library, path, folded, size, mtime_ns, first_seen_at,
    damage, blake3, kind, type, camera, taken_at ON file
WHEN (new.library, new.path, new.folded, new.size, new.mtime_ns, new.first_seen_at, new.damage,
        new.blake3 IS NULL, new.kind, new.type, new.camera, new.taken_at)
    IS NOT (old.library, old.path, old.folded, old.size, old.mtime_ns, old.first_seen_at,
        old.damage, old.blake3 IS NULL, old.kind, old.type, old.camera, old.taken_at) BEGIN
    DELETE FROM file_block WHERE block = new.id >> 10;
END;
CREATE TRIGGER file_no_more AFTER DELETE ON file BEGIN
    DELETE FROM file_block WHERE block = old.id >> 10;
END;
CREATE TRIGGER source_new AFTER INSERT ON source WHEN new.file IS NOT NULL BEGIN
    DELETE FROM file_block WHERE block = new.file >> 10;
END;
CREATE TRIGGER source_other AFTER UPDATE OF file, kind ON source
WHEN (new.file, new.kind) IS NOT (old.file, old.kind) BEGIN
    DELETE FROM file_block WHERE block IN (new.file >> 10, old.file >> 10);
END;
CREATE TRIGGER source_no_more AFTER DELETE ON source WHEN old.file IS NOT NULL BEGIN
    DELETE FROM file_block WHERE block = old.file >> 10;
END;
