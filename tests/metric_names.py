"""What core/metrics.py defines, for tests that hold other files to it."""

from dataclasses import dataclass

from prometheus_client.metrics import MetricWrapperBase

from core import metrics
from core.histogram import BulkHistogram


@dataclass(frozen=True)
class Definition:
    """A metric as people name it."""

    name: str
    kind: str
    labels: tuple[str, ...]
    documentation: str

    @property
    def series(self) -> set[str]:
        """The names that its samples have."""
        if self.kind != "histogram":
            return {self.name}
        return {f"{self.name}_{end}" for end in ("bucket", "count", "sum")}


def _definition(value: object) -> Definition | None:
    if isinstance(value, metrics.Family):
        return Definition(value.name, "gauge", value.labels, value.documentation)
    if isinstance(value, BulkHistogram):
        return Definition(value.name, "histogram", value.labels, value.documentation)
    if isinstance(value, MetricWrapperBase):
        (family,) = value.describe()
        name = f"{family.name}_total" if family.type == "counter" else family.name
        return Definition(name, family.type, value._labelnames, family.documentation)
    return None


DEFINITIONS = tuple(
    found for value in vars(metrics).values() if (found := _definition(value)) is not None
)
