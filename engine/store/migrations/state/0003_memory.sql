CREATE TABLE turn (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    session TEXT NOT NULL,
    question TEXT NOT NULL,
    answer TEXT NOT NULL DEFAULT '',
    status TEXT NOT NULL,
    note TEXT NOT NULL DEFAULT '',
    model TEXT NOT NULL DEFAULT '',
    asked_at TEXT NOT NULL,
    answered_at TEXT
) STRICT;

CREATE INDEX turn_by_session ON turn (session, id);

-- Only what the person said is recalled: a small model's own words would come back as facts.
CREATE VIRTUAL TABLE turn_text USING fts5 (
    question, content = 'turn', content_rowid = 'id', tokenize = 'porter unicode61'
);
CREATE TRIGGER turn_indexed AFTER INSERT ON turn BEGIN
    INSERT INTO turn_text (rowid, question) VALUES (new.id, new.question);
END;
