-- Which file system a library's root was found on (`fsid`, `uuid` or `share` and its name), and when
-- that folder was made (ns since 1970): another disk may have the same `dev`, and a root of the same
-- `ino`. '' and 0: not known.
ALTER TABLE library ADD COLUMN volume TEXT NOT NULL DEFAULT '';
ALTER TABLE library ADD COLUMN born INTEGER NOT NULL DEFAULT 0;

-- A change is 'unread', or 'touched' where only the change time moved, until its bytes were read. A
-- file that was touched and cannot be read keeps the hash that it had; its `damage` says 'unread'.
DROP INDEX history_unread;
CREATE INDEX history_unread ON history (file) WHERE note IN ('unread', 'touched');
