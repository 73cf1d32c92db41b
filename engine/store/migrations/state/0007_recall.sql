-- Memories: what recall finds. The indexes over them are made from these tables, elsewhere.

DROP TRIGGER turn_indexed;
DROP TABLE turn_text;

-- Memories are kept apart by it. A conversation lives in the namespace of its own name.
CREATE TABLE namespace (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    session_id INTEGER UNIQUE REFERENCES session (id),
    created_at TEXT NOT NULL
) STRICT;

INSERT INTO namespace (name, session_id, created_at) SELECT name, id, created_at FROM session ORDER BY id;

CREATE TRIGGER session_has_namespace AFTER INSERT ON session BEGIN
    INSERT INTO namespace (name, session_id, created_at) VALUES (new.name, new.id, new.created_at)
    ON CONFLICT (name) DO UPDATE SET session_id = excluded.session_id;
END;
CREATE TRIGGER session_renames_namespace AFTER UPDATE OF name ON session BEGIN
    UPDATE namespace SET name = new.name WHERE session_id = new.id;
END;

-- Counts every change to a memory: who follows the memories remembers how far it came.
CREATE TABLE memory_clock (rev INTEGER NOT NULL) STRICT;
INSERT INTO memory_clock VALUES (0);

CREATE TABLE folder (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    path BLOB NOT NULL UNIQUE,
    namespace_id INTEGER NOT NULL REFERENCES namespace (id),
    pinned INTEGER NOT NULL DEFAULT 0,
    -- Which folder it was when it was last read: a disk that is away leaves another in its place.
    dev INTEGER,
    ino INTEGER,
    added_at TEXT NOT NULL
) STRICT;

-- A file of a folder, as it was when it was read. `problem`: why it could not be.
CREATE TABLE document (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    folder_id INTEGER NOT NULL REFERENCES folder (id),
    path BLOB NOT NULL,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    digest BLOB NOT NULL,
    problem TEXT NOT NULL DEFAULT '',
    read_at TEXT NOT NULL,
    UNIQUE (folder_id, path)
) STRICT;

-- A compressed file beside the database. `digest`: SHA-256 of its bytes.
CREATE TABLE archive (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    created_at TEXT NOT NULL,
    memories INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    digest BLOB NOT NULL
) STRICT;

CREATE TABLE memory (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    rev INTEGER NOT NULL DEFAULT 0,
    uid BLOB NOT NULL UNIQUE DEFAULT (randomblob(16)),
    namespace_id INTEGER NOT NULL REFERENCES namespace (id),
    kind TEXT NOT NULL,
    turn_id INTEGER UNIQUE REFERENCES turn (id),
    document_id INTEGER REFERENCES document (id),
    -- live, merged, replaced, archived.
    state TEXT NOT NULL DEFAULT 'live',
    -- The one that it was merged into, or replaced by.
    replaced_by INTEGER REFERENCES memory (id),
    archive_id INTEGER REFERENCES archive (id),
    pinned INTEGER NOT NULL DEFAULT 0,
    -- NULL: estimated from the text.
    importance REAL,
    uses INTEGER NOT NULL DEFAULT 0,
    used_at TEXT,
    -- 1: a person brought it back, so that nothing takes its place by itself any more.
    kept INTEGER NOT NULL DEFAULT 0,
    at TEXT NOT NULL,
    added_at TEXT NOT NULL,
    speaker TEXT NOT NULL DEFAULT '',
    source TEXT NOT NULL DEFAULT '',
    ref TEXT NOT NULL DEFAULT '',
    -- Empty where it is archived.
    text TEXT NOT NULL
) STRICT;

CREATE INDEX memory_by_rev ON memory (rev);
CREATE INDEX memory_by_namespace ON memory (namespace_id, id);
CREATE INDEX memory_by_document ON memory (document_id) WHERE document_id IS NOT NULL;
CREATE INDEX memory_by_replacement ON memory (replaced_by) WHERE replaced_by IS NOT NULL;
CREATE INDEX memory_by_archive ON memory (archive_id) WHERE archive_id IS NOT NULL;
CREATE INDEX memory_by_state ON memory (state, id) WHERE state != 'live';
CREATE INDEX memory_pinned ON memory (id) WHERE pinned;
-- The same import twice adds nothing.
CREATE UNIQUE INDEX memory_by_ref ON memory (namespace_id, source, ref) WHERE ref != '';

-- What was forgotten, so that no copy brings it back. It holds nothing of what was said.
CREATE TABLE forgotten (
    memory_id INTEGER PRIMARY KEY,
    rev INTEGER NOT NULL,
    uid BLOB NOT NULL UNIQUE,
    at TEXT NOT NULL
) STRICT;
CREATE INDEX forgotten_by_rev ON forgotten (rev);

-- Whoever changes a memory, in whatever way, is counted.
CREATE TRIGGER memory_added AFTER INSERT ON memory BEGIN
    UPDATE memory_clock SET rev = rev + 1;
    UPDATE memory SET rev = (SELECT rev FROM memory_clock) WHERE id = new.id;
END;
CREATE TRIGGER memory_changed
AFTER UPDATE OF namespace_id, state, pinned, at, speaker, source, text ON memory BEGIN
    UPDATE memory_clock SET rev = rev + 1;
    UPDATE memory SET rev = (SELECT rev FROM memory_clock) WHERE id = new.id;
END;
CREATE TRIGGER memory_gone AFTER DELETE ON memory BEGIN
    UPDATE memory_clock SET rev = rev + 1;
    INSERT INTO forgotten (memory_id, rev, uid, at)
    VALUES (old.id, (SELECT rev FROM memory_clock), old.uid, strftime('%Y-%m-%dT%H:%M:%fZ', 'now'));
END;

-- What a person says in a conversation is remembered in the transaction that writes it down.
CREATE TRIGGER turn_is_remembered AFTER INSERT ON turn BEGIN
    INSERT INTO memory (namespace_id, kind, turn_id, at, added_at, source, text)
    SELECT id, 'turn', new.id, new.asked_at, new.asked_at, 'chat', new.question
    FROM namespace WHERE session_id = new.session_id;
END;

INSERT INTO memory (namespace_id, kind, turn_id, at, added_at, source, text)
SELECT namespace.id, 'turn', turn.id, turn.asked_at, turn.asked_at, 'chat', turn.question
FROM turn JOIN namespace ON namespace.session_id = turn.session_id
ORDER BY turn.id;
