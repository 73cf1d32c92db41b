"""Child processes of the engine: how they are started, spoken to, and ended."""
