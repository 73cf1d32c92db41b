-- How many memories there are of each namespace, kind and state: to count a million takes longer than
-- to show the first of them.
CREATE TABLE memory_count (
    namespace_id INTEGER NOT NULL, kind TEXT NOT NULL, state TEXT NOT NULL, pinned INTEGER NOT NULL,
    memories INTEGER NOT NULL, PRIMARY KEY (namespace_id, kind, state, pinned)
) STRICT, WITHOUT ROWID;

INSERT INTO memory_count SELECT namespace_id, kind, state, pinned, count(*) FROM memory GROUP BY 1, 2, 3, 4;

CREATE TRIGGER memory_counted AFTER INSERT ON memory BEGIN
    INSERT INTO memory_count VALUES (new.namespace_id, new.kind, new.state, new.pinned, 1)
    ON CONFLICT DO UPDATE SET memories = memories + 1;
END;
CREATE TRIGGER memory_counted_off AFTER DELETE ON memory BEGIN
    UPDATE memory_count SET memories = memories - 1
    WHERE namespace_id = old.namespace_id AND kind = old.kind AND state = old.state AND pinned = old.pinned;
    DELETE FROM memory_count
    WHERE namespace_id = old.namespace_id AND kind = old.kind AND state = old.state AND pinned = old.pinned
    AND memories = 0;
END;
CREATE TRIGGER memory_counted_anew AFTER UPDATE OF namespace_id, kind, state, pinned ON memory BEGIN
    UPDATE memory_count SET memories = memories - 1
    WHERE namespace_id = old.namespace_id AND kind = old.kind AND state = old.state AND pinned = old.pinned;
    DELETE FROM memory_count
    WHERE namespace_id = old.namespace_id AND kind = old.kind AND state = old.state AND pinned = old.pinned
    AND memories = 0;
    INSERT INTO memory_count VALUES (new.namespace_id, new.kind, new.state, new.pinned, 1)
    ON CONFLICT DO UPDATE SET memories = memories + 1;
END;

-- Of each kind and state by itself, so that the first of few are found as soon as those of many: what
-- is asked for is put together from at most twelve of them.
DROP INDEX memory_by_time;
CREATE INDEX memory_by_time ON memory (kind, state, at, id, namespace_id);
DROP INDEX memory_by_namespace_time;
CREATE INDEX memory_by_namespace_time ON memory (namespace_id, kind, state, at, id, pinned);
