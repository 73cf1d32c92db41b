"""The five screens. Each is imported on its first visit, except the overview."""
