"""The index over the memories: what runs in its worker process, and nothing of the engine.

Everything here can be made again from the database of the engine, which it only reads.
"""
