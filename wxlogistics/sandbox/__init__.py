"""WeChat's logistics service on your desk: stateful, in process and over HTTP."""

from ._sandbox import Sandbox
from .calls import Call
from .clock import Clock
from .faults import Fault
from .settings import Settings

__all__ = ["Call", "Clock", "Fault", "Sandbox", "Settings"]
