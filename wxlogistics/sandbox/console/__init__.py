"""The console: pages that show a browser what happens in the sandbox."""

from .site import EVENT_HEADERS, EVENTS, answer, is_path, version

__all__ = ["EVENTS", "EVENT_HEADERS", "answer", "is_path", "version"]
