"""What asks torrent clients, in a process of its own: standard library only.

A client may answer slowly, without end, or with anything, and the files it names may lie on a disk
that hangs: all of that costs this process, and never the engine.
"""
