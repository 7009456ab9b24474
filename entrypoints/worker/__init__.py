"""The warm worker: executes flow runs in its own process, on its own event loop."""

from entrypoints.worker.beacon import Beacon
from entrypoints.worker.health import WorkerHealth
from entrypoints.worker.worker import WarmWorker

__all__ = ["Beacon", "WarmWorker", "WorkerHealth"]
