-- What lists are sorted and narrowed by beyond path, size and time of change. `kind` to `taken_at`
-- repeat what `trait` says of these bytes (NULL: not looked into, or not told), since an index
-- cannot look into another table.
ALTER TABLE file ADD COLUMN kind TEXT;
ALTER TABLE file ADD COLUMN type TEXT;
ALTER TABLE file ADD COLUMN camera TEXT;
ALTER TABLE file ADD COLUMN taken_at INTEGER;

UPDATE file SET kind = trait.kind, type = trait.type, camera = nullif(trait.camera, ''),
    taken_at = trait.taken_at
FROM trait
WHERE trait.file = file.id AND trait.size = file.size AND trait.mtime_ns = file.mtime_ns;

CREATE INDEX file_by_first_seen ON file (library, first_seen_at);
CREATE INDEX file_by_taken ON file (library, taken_at) WHERE taken_at IS NOT NULL;
-- With it, and with `file_by_age`, files are counted by their date: when they were taken, or else
-- when they were changed.
CREATE INDEX file_taken_by_age ON file (library, mtime_ns) WHERE taken_at IS NOT NULL;

-- What a list is narrowed and counted by, and sorted by except the path: walking this is half the
-- work of walking the rows. What was not looked into lies at its end, in the order of its coming.
CREATE INDEX file_facets
    ON file (library, kind, type, camera, first_seen_at, taken_at, mtime_ns, size);
-- By path within a kind. Files that were not looked into are not in it, so a scan does not pay.
CREATE INDEX file_by_kind ON file (library, kind, path) WHERE kind IS NOT NULL;

CREATE TRIGGER trait_told AFTER INSERT ON trait BEGIN
    UPDATE file SET kind = new.kind, type = new.type, camera = nullif(new.camera, ''),
        taken_at = new.taken_at
    WHERE id = new.file AND size = new.size AND mtime_ns = new.mtime_ns;
END;

CREATE TRIGGER trait_retold
AFTER UPDATE OF kind, type, camera, taken_at, size, mtime_ns ON trait BEGIN
    UPDATE file SET kind = new.kind, type = new.type, camera = nullif(new.camera, ''),
        taken_at = new.taken_at
    WHERE id = new.file AND size = new.size AND mtime_ns = new.mtime_ns
        AND (kind, type, camera, taken_at)
            IS NOT (new.kind, new.type, nullif(new.camera, ''), new.taken_at);
END;

-- Other bytes: what the old ones said holds no longer.
CREATE TRIGGER file_untold AFTER UPDATE OF size, mtime_ns ON file
WHEN new.kind IS NOT NULL AND (new.size <> old.size OR new.mtime_ns <> old.mtime_ns) BEGIN
    UPDATE file SET kind = NULL, type = NULL, camera = NULL, taken_at = NULL WHERE id = new.id;
END;
