-- Who asked, where it was no person: what a model or an agent says is not remembered as the person's
-- own word.
ALTER TABLE turn ADD COLUMN asked_by TEXT NOT NULL DEFAULT '';

DROP TRIGGER turn_is_remembered;
CREATE TRIGGER turn_is_remembered AFTER INSERT ON turn BEGIN
    INSERT INTO memory (namespace_id, kind, turn_id, at, added_at, speaker, source, text)
    SELECT id, 'turn', new.id, new.asked_at, new.asked_at, new.asked_by, 'chat', new.question
    FROM namespace WHERE session_id = new.session_id;
END;
