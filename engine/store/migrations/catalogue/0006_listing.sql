-- What lists are sorted by beyond path, size and time of change. `taken_at` repeats what `trait`
-- says of these bytes (NULL: nothing), since an index cannot look into another table.
ALTER TABLE file ADD COLUMN taken_at INTEGER;

UPDATE file SET taken_at = trait.taken_at FROM trait
WHERE trait.file = file.id AND trait.taken_at IS NOT NULL
    AND trait.size = file.size AND trait.mtime_ns = file.mtime_ns;

CREATE INDEX file_by_first_seen ON file (library, first_seen_at);
CREATE INDEX file_by_taken ON file (library, taken_at) WHERE taken_at IS NOT NULL;

CREATE TRIGGER trait_dates AFTER INSERT ON trait WHEN new.taken_at IS NOT NULL BEGIN
    UPDATE file SET taken_at = new.taken_at
    WHERE id = new.file AND size = new.size AND mtime_ns = new.mtime_ns;
END;

CREATE TRIGGER trait_redates AFTER UPDATE OF taken_at, size, mtime_ns ON trait BEGIN
    UPDATE file SET taken_at = new.taken_at
    WHERE id = new.file AND size = new.size AND mtime_ns = new.mtime_ns
        AND taken_at IS NOT new.taken_at;
END;

-- Other bytes: what the old ones said holds no longer.
CREATE TRIGGER file_undated AFTER UPDATE OF size, mtime_ns ON file
WHEN new.taken_at IS NOT NULL AND (new.size <> old.size OR new.mtime_ns <> old.mtime_ns) BEGIN
    UPDATE file SET taken_at = NULL WHERE id = new.id;
END;
