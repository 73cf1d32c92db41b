"""Models from a hub: Hugging Face, or a server that speaks like it."""

from backends.hub.client import HubClient
from backends.hub.server import HubPatience

__all__ = ["HubClient", "HubPatience"]
