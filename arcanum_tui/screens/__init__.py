"""The four screens. Each is imported on its first visit, except the overview."""
