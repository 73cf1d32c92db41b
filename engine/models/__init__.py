"""Models: the one in use, the others loaded, what they need and what they measured."""
