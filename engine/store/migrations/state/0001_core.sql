-- What every room stands on: settings, durable events, jobs, the audit chain.

CREATE TABLE setting (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;

-- AUTOINCREMENT: a sequence number is never used twice, even after old events were pruned.
CREATE TABLE event (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    at TEXT NOT NULL,
    kind TEXT NOT NULL,
    data TEXT NOT NULL
) STRICT;

CREATE TABLE job (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    operation TEXT NOT NULL,
    subject TEXT NOT NULL,
    request TEXT NOT NULL,
    state TEXT NOT NULL,
    machine TEXT NOT NULL,
    progress TEXT NOT NULL,
    started_at TEXT NOT NULL,
    ended_at TEXT,
    result TEXT,
    error TEXT
) STRICT;

CREATE TABLE audit (
    -- AUTOINCREMENT remembers the highest number: a tail that was cut off is noticed.
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    at TEXT NOT NULL,
    machine TEXT NOT NULL,
    call TEXT NOT NULL,
    parent TEXT,
    actor TEXT NOT NULL,
    on_behalf_of TEXT,
    operation TEXT NOT NULL,
    phase TEXT NOT NULL,
    outcome TEXT NOT NULL,
    details TEXT NOT NULL,
    previous TEXT NOT NULL,
    hash TEXT NOT NULL
) STRICT;

-- Append-only: a row that was written is neither edited nor taken out.
CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
