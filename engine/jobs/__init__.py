"""Jobs: long work with an id, which outlives the face that started it."""
