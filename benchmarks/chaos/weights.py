"""What measurements do to weights, and weights to scores: the rules in plain Python.

Source: decisions 0011 and 0013. A ground is a grid and a metric.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import NormalDist
from uuid import UUID

#: Metric → the measured value that it is, and whether larger is better.
METRICS = {
    "motioncorrection": ("total_motion", False),
    "ctfmaxresolution": ("ctf_max_resolution_estimate", False),
    "numparticles": ("number_of_particles_picked", True),
}
#: What stands for a prediction that is missing.
UNKNOWN = 0.5

Ground = tuple[UUID, str]
Weights = Mapping[str, float]
#: (model, metric or '' for all) → value.
Said = Mapping[tuple[str, str], float]


@dataclass
class Account:
    """Running statistics (Welford)."""

    count: int = 0
    mean: float = 0.0
    m2: float = 0.0

    def join(self, value: float) -> None:
        """Take one more value."""
        self.count += 1
        off = value - self.mean
        self.mean += off / self.count
        self.m2 += off * (value - self.mean)

    def quality(self, value: float, *, larger_is_better: bool) -> float:
        """Return how good a value is among those before it."""
        if self.count == 0:
            return 1.0
        off = value - self.mean if larger_is_better else self.mean - value
        sd = math.sqrt(self.m2 / (self.count - 1)) if self.count > 1 else 0.0
        if sd == 0:
            return 0.5 if off == 0 else float(off > 0)
        return NormalDist().cdf(off / sd)


def joined(weights: Weights, models: Iterable[str]) -> dict[str, float]:
    """Return the weights with models that join: each gets what those there have on average."""
    new = set(models) - set(weights)
    share = 1 / len(weights) if weights else 1.0
    every = {**weights, **dict.fromkeys(new, share)}
    total = sum(every.values())
    return {model: weight / total for model, weight in every.items()}


def stepped(
    weights: Weights, predictions: Mapping[str, float | None], quality: float
) -> dict[str, float]:
    """Return the weights after a measurement; who predicted nothing keeps the weight."""
    earned = {
        model: weights[model] * (quality * p + (1 - quality) * (1 - p))
        for model, p in predictions.items()
        if p is not None
    }
    total = sum(earned.values())
    if total == 0:
        return dict(weights)
    share = sum(weights[model] for model in earned)
    return {**weights, **{model: one / total * share for model, one in earned.items()}}


def score(weights: Mapping[str, Weights], own: Said, of_square: Said | None = None) -> float:
    """Return the score of what models say of a square, or of a hole and its square.

    Args:
        weights: By metric, those in force.
        own: What is said of it.
        of_square: What is said of a hole's square, for what is not said of the hole.
    """
    sources = (own, of_square or {})
    found = 1.0
    for metric in METRICS:
        models = weights.get(metric, {})
        mean = UNKNOWN * (1 - sum(models.values()))
        for model, weight in models.items():
            said = (
                source[model, name]
                for source in sources
                for name in (metric, "")
                if (model, name) in source
            )
            mean += weight * next(said, UNKNOWN)
        found *= min(max(mean, 0.0), 1.0) ** (1 / len(METRICS))
    return round(found, 12)
