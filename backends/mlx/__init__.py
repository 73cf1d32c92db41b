"""MLX in a child process. Empty on purpose: the child's own start-up imports this."""
