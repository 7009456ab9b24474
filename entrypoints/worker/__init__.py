"""The warm worker: executes flow runs in its own process, on its own event loop."""

from entrypoints.worker.worker import WarmWorker, WorkerHealth

__all__ = ["WarmWorker", "WorkerHealth"]
