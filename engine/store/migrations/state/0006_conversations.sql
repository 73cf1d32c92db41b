-- Conversations get an identity of their own, branches, attachments, and can be deleted.

CREATE TABLE session (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    -- NULL until one is given.
    title TEXT,
    created_at TEXT NOT NULL,
    -- Nothing of a deleted conversation is taken out: it can be restored.
    deleted_at TEXT
) STRICT;

INSERT INTO session (name, created_at)
SELECT session, min(asked_at) FROM turn GROUP BY session ORDER BY min(id);

-- The large columns last: what only follows the tree never reads them.
CREATE TABLE turn_new (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    session_id INTEGER NOT NULL REFERENCES session (id),
    -- The turn that it follows; NULL begins the conversation. Always older: ids grow along a branch.
    parent_id INTEGER REFERENCES turn (id),
    status TEXT NOT NULL,
    -- 1 once there is an answer, whole or in part.
    answered INTEGER NOT NULL DEFAULT 0,
    asked_at TEXT NOT NULL,
    answered_at TEXT,
    model TEXT NOT NULL DEFAULT '',
    note TEXT NOT NULL DEFAULT '',
    question TEXT NOT NULL,
    answer TEXT NOT NULL DEFAULT ''
) STRICT;

INSERT INTO turn_new (
    id, session_id, parent_id, status, answered, asked_at, answered_at, model, note, question, answer
)
SELECT
    turn.id, session.id, lag(turn.id) OVER (PARTITION BY turn.session ORDER BY turn.id),
    turn.status, turn.status != 'open' AND turn.answer != '', turn.asked_at, turn.answered_at,
    turn.model, turn.note, turn.question, turn.answer
FROM turn JOIN session ON session.name = turn.session
ORDER BY turn.id;

DROP TABLE turn;
ALTER TABLE turn_new RENAME TO turn;

CREATE INDEX turn_by_session ON turn (session_id);
CREATE INDEX turn_by_parent ON turn (session_id, parent_id);
CREATE INDEX turn_open ON turn (session_id) WHERE status = 'open';
-- All that a walk towards the beginning needs, so that it reads no page with text.
CREATE INDEX turn_tree ON turn (id, parent_id, answered);

CREATE TRIGGER turn_indexed AFTER INSERT ON turn BEGIN
    INSERT INTO turn_text (rowid, question) VALUES (new.id, new.question);
END;

-- The turns of each conversation's current branch.
CREATE TABLE branch (
    session_id INTEGER NOT NULL REFERENCES session (id),
    turn_id INTEGER NOT NULL REFERENCES turn (id),
    PRIMARY KEY (session_id, turn_id)
) STRICT, WITHOUT ROWID;

INSERT INTO branch SELECT session_id, id FROM turn;

-- What was read with a question, as it was then.
CREATE TABLE attachment (
    turn_id INTEGER NOT NULL REFERENCES turn (id),
    n INTEGER NOT NULL,
    name TEXT NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (turn_id, n)
) STRICT;
