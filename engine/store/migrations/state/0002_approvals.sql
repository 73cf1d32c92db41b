CREATE TABLE approval (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    operation TEXT NOT NULL,
    state TEXT NOT NULL,
    digest TEXT NOT NULL,
    machine TEXT NOT NULL,
    requested_by TEXT NOT NULL,
    call TEXT NOT NULL,
    created_at TEXT NOT NULL,
    expires_at TEXT NOT NULL,
    answered_by TEXT,
    answered_at TEXT,
    reason TEXT NOT NULL DEFAULT '',
    outcome TEXT,
    undone INTEGER NOT NULL DEFAULT 0,
    verb TEXT NOT NULL,
    subject TEXT NOT NULL,
    headline TEXT NOT NULL,
    undo_operation TEXT,
    undo_request TEXT,
    undo_until TEXT
) STRICT;

CREATE INDEX approval_by_state ON approval (state, id);

-- What would be done, apart from the record: large, private, found by its digest.
CREATE TABLE payload (
    approval_id INTEGER PRIMARY KEY REFERENCES approval (id),
    request TEXT NOT NULL,
    payload TEXT NOT NULL,
    preconditions TEXT NOT NULL,
    card TEXT NOT NULL
) STRICT;
