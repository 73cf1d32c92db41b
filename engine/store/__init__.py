"""The store: SQLite, one writer per file, migrations as SQL."""

from engine.store.database import Database
from engine.store.reserve import Reserve
from engine.store.settings import StoredSettings
from engine.store.writer import Transaction

__all__ = ["Database", "Reserve", "StoredSettings", "Transaction"]
