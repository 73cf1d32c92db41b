"""``make bench``: one command, one table: ours, the peer, the ratio, the aim, in the same run."""
