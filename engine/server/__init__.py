"""Servers: the engine's faces for other processes."""
