"""The core: the one gate, the audit chain, ordered start and reverse stop."""
