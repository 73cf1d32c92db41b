"""Recall: memories, the index that finds them, and what becomes of them."""
