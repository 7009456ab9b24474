"""From a deployment's entrypoint to the flow, imported once and never executed again."""

import importlib
from pathlib import PurePosixPath
from typing import Any

from prefect import Flow

from core.errors import ConfigurationError


def load_flow(entrypoint: str) -> Flow[..., Any]:
    """Return the flow at "folder/module.py:function" or "folder.module:function".

    Unlike Prefect's own loader this goes through `sys.modules`: the second load of a flow
    costs nothing, and flows see the same modules as everything else in the process.

    Raises:
        ConfigurationError: There is no such module, or what is there is no async flow.
    """
    where, separator, attribute = entrypoint.rpartition(":")
    if not separator:
        raise ConfigurationError(f"The entrypoint {entrypoint!r} has no ':function' at its end.")
    path = PurePosixPath(where)
    name = ".".join(path.with_suffix("").parts) if path.suffix == ".py" else where
    try:
        module = importlib.import_module(name)
        flow = getattr(module, attribute)
    except (ImportError, AttributeError) as exc:
        raise ConfigurationError(f"Cannot load the flow {entrypoint}: {exc}") from exc
    if not isinstance(flow, Flow) or not flow.isasync:
        raise ConfigurationError(
            f"{entrypoint} is not an async flow. A warm worker runs all flows on one event loop; "
            "deploy others to a process work pool."
        )
    return flow
