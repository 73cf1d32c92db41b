"""The words that faces, rooms and backends share: operations, events, models, errors, ports.

Only pydantic and the standard library are imported here, and each room has a file of its own, so
that a shell command pays for the words it uses and for no others.
"""
