-- What cannot be reached now, though it is known: since when a library is away (RFC 3339), and the
-- folders and files of one that is there which could not be looked at, with the reason. `seen_at`:
-- when all that lies there was last looked at, NULL where it never was.
ALTER TABLE library ADD COLUMN since TEXT;
UPDATE library SET since = strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now') WHERE state <> 'ok';

CREATE TABLE unseen (
    library INTEGER NOT NULL,
    path BLOB NOT NULL,
    why TEXT NOT NULL,
    since TEXT NOT NULL,
    seen_at TEXT,
    PRIMARY KEY (library, path)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER library_gone AFTER DELETE ON library BEGIN
    DELETE FROM unseen WHERE library = old.id;
END;
