"""Agent-0: a question, what memory recalls for it, and the answer token by token."""
