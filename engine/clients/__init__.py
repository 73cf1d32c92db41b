"""Clients: how a face reaches the engine, in the same process or through its socket."""
