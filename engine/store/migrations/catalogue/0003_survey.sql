-- Which files were looked into: `surveyed` 1 where `trait` says what they hold now. What is to be
-- done is an index of its own: it must not cost a walk over a million rows.

ALTER TABLE file ADD COLUMN surveyed INTEGER NOT NULL DEFAULT 0;

CREATE INDEX file_unsurveyed ON file (library, id) WHERE surveyed = 0;

CREATE INDEX trait_with_problem ON trait (problem) WHERE problem <> '';

-- Other bytes: another size, another time, or another hash than the one that was known.
CREATE TRIGGER file_to_survey AFTER UPDATE OF size, mtime_ns, blake3 ON file
WHEN new.surveyed = 1 AND (new.size <> old.size OR new.mtime_ns <> old.mtime_ns
    OR (old.blake3 IS NOT NULL AND new.blake3 IS NOT old.blake3)) BEGIN
    UPDATE file SET surveyed = 0 WHERE id = new.id;
END;
