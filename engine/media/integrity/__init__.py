"""Whether files still hold what they held: reading them again, and what happened to them."""
