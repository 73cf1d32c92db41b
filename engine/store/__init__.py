"""The store: SQLite, one writer per file, migrations as SQL."""

from engine.store.database import Database, Transaction
from engine.store.settings import StoredSettings

__all__ = ["Database", "StoredSettings", "Transaction"]
