-- Which approval a plan was executed by, and when a file was about to go where it is (RFC 3339): with
-- that, what the catalogue knows of a file can say by whose yes it went, and came back.
ALTER TABLE prune_plan ADD COLUMN approval INTEGER;
ALTER TABLE prune_item ADD COLUMN at TEXT;

CREATE INDEX prune_item_by_path ON prune_item (path);
