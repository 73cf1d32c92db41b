-- What files say of themselves was kept as it stood there, and addresses have passwords and keys in
-- them. Texts that may hold one go, and are read anew, redacted. The times have colons and no text.
CREATE TEMP TABLE untold AS SELECT file FROM trait
WHERE camera GLOB '*[:=%]*' OR EXISTS (
    SELECT 1 FROM json_each(trait.details)
    WHERE value GLOB '*[:=%]*' AND key NOT IN ('taken', 'taken_zone'));

UPDATE trait SET details = '{}', camera = CASE WHEN camera GLOB '*[:=%]*' THEN '' ELSE camera END
WHERE file IN (SELECT file FROM temp.untold);

UPDATE file SET surveyed = 0 WHERE id IN (SELECT file FROM temp.untold);

-- Blocks know looks by their numbers, which are given in a row.
DELETE FROM file_block WHERE EXISTS (SELECT 1 FROM look WHERE camera GLOB '*[:=%]*');
DELETE FROM look WHERE EXISTS (SELECT 1 FROM look WHERE camera GLOB '*[:=%]*');

DROP TABLE temp.untold;

-- What is no address says nothing of where a file came from.
DELETE FROM source WHERE kind = 'url' AND instr(origin || referrer, '://') = 0
    AND origin NOT LIKE 'urn:bt%' AND referrer NOT LIKE 'urn:bt%';
