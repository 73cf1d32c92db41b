"""The media room: libraries, their files, and the worker processes that read them."""
