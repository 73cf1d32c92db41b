"""Models in child processes. Empty on purpose: the child's own start-up imports this."""
