"""Backends around a backend: each adds one thing, and leaves the rest as it is."""

from __future__ import annotations

from backends.wrappers.compose import wrap

__all__ = ["wrap"]
