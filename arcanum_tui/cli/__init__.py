"""The command line: one file per group of operations, made from their declarations."""
