"""Files with the same bytes, which of them to keep, and pictures that look alike."""
