"""Discovery: what is already here that Arcanum could use."""
