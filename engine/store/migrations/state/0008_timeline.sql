-- The timeline: by when it was said or written, of all and of one namespace. What it is narrowed by stands in the index too:
-- where little is left, reading the rows in that order would take a minute for a million.
CREATE INDEX memory_by_time ON memory (at, id, namespace_id, kind, state);
CREATE INDEX memory_by_namespace_time ON memory (namespace_id, at, id, kind, state, pinned);
DROP INDEX memory_pinned;
CREATE INDEX memory_pinned ON memory (at, id) WHERE pinned;
