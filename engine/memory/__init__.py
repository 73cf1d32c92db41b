"""Memory: the durable conversation, and recall from it by full-text search."""
