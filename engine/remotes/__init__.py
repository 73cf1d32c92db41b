"""Remotes: what rclone reaches. Listed, compared with the libraries, and sent to after a yes."""
