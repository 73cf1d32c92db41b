-- Files that take less than their size, and what they take: holes, or a file system that compresses.
-- Few files, mostly, so they are told apart from the others. (size, mtime_ns) is what was looked at.
CREATE TABLE sparse (
    file INTEGER PRIMARY KEY REFERENCES file (id) ON DELETE CASCADE,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    taken INTEGER NOT NULL
) STRICT;

-- It is of files with the same bytes that it matters: those that are known are looked into again.
UPDATE file SET surveyed = 0 WHERE surveyed = 1 AND size > 0 AND blake3 IN (
    SELECT blake3 FROM file WHERE blake3 IS NOT NULL GROUP BY blake3 HAVING count(*) > 1);
