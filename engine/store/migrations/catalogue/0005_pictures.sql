-- How pictures look, in two hashes of 64 bits each (one of coarse shapes, one of edges), as it was
-- when they were (size, mtime_ns). `plain`: too little is to be seen to compare it. `problem`: why
-- there is no hash. `star`: the picture (its file) in the middle of the group that it was put in
-- by the last comparison, `away` how many bits it is from that one; NULL: in none.
CREATE TABLE picture (
    file INTEGER PRIMARY KEY REFERENCES file (id) ON DELETE CASCADE,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    shape INTEGER,
    edges INTEGER,
    plain INTEGER NOT NULL DEFAULT 0,
    problem TEXT NOT NULL DEFAULT '',
    star INTEGER,
    away INTEGER
) STRICT;

CREATE INDEX picture_by_star ON picture (star) WHERE star IS NOT NULL;

-- Other bytes are another picture.
CREATE TRIGGER picture_repainted AFTER UPDATE OF size, mtime_ns, blake3 ON file
WHEN new.size <> old.size OR new.mtime_ns <> old.mtime_ns
    OR (old.blake3 IS NOT NULL AND new.blake3 IS NOT old.blake3) BEGIN
    DELETE FROM picture WHERE file = new.id;
END;
