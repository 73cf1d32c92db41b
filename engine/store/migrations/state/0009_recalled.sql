-- Which memories an answer was told, best first: their numbers and how they scored, as JSON. NULL
-- where that is not known. What they say stands in the memories alone.
ALTER TABLE turn ADD COLUMN recalled TEXT;
