"""A simulated Athena Decision Service: real HTTP, a state that lasts, faults on demand."""

from simulators.athena.app import create_app
from simulators.athena.faults import Faults
from simulators.athena.server import RunningSimulator, running, serve

__all__ = ["Faults", "RunningSimulator", "create_app", "running", "serve"]
