"""Where files came from: evidence that they carry, records beside them, and torrent clients."""
