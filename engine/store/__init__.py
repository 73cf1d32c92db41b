"""The store: SQLite, one writer per file, migrations as SQL."""

from engine.store.database import Database
from engine.store.settings import StoredSettings
from engine.store.writer import Transaction

__all__ = ["Database", "StoredSettings", "Transaction"]
