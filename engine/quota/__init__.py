"""Quota: libraries against their limits, and a trash that loses nothing."""

from engine.quota.room import QuotaRoom

__all__ = ["QuotaRoom"]
