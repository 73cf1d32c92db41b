-- The folders that the user named. AUTOINCREMENT: the catalogue, which may be older or newer
-- than this file, must never take one library for another.
CREATE TABLE library (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    root BLOB NOT NULL UNIQUE,
    added_at TEXT NOT NULL
) STRICT;
