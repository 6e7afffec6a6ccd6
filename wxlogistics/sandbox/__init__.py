"""WeChat's logistics service on your desk: stateful, in process and over HTTP."""

from ._sandbox import Sandbox
from .world.calls import Call
from .world.clock import Clock
from .world.faults import Fault
from .world.settings import Settings

__all__ = ["Call", "Clock", "Fault", "Sandbox", "Settings"]
