"""From a measurement to its quality: how good it is among those of its grid and metric before it.

Running statistics after Welford (1962), "Note on a method for calculating corrected sums of
squares and products", Technometrics 4(3): one value at a time, without keeping them.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.special import ndtr

from domains.cryoem.planning import Floats

#: From this quality on, a micrograph is good.
GOOD: Final = 0.5
#: No measured quantity comes near; below it no square overflows.
LARGEST: Final = 1e100


@dataclass(frozen=True, slots=True)
class Statistics:
    """Running statistics of one grid and metric, in the metric's unit."""

    count: int = 0
    mean: float = 0.0
    #: Sum of squared deviations from the mean.
    m2: float = 0.0

    @property
    def sd(self) -> float:
        """Return the sample's standard deviation; 0 for fewer than two values."""
        return math.sqrt(self.m2 / (self.count - 1)) if self.count > 1 else 0.0


def joined(statistics: Statistics, value: float) -> Statistics:
    """Return the statistics with one more value.

    Raises:
        ValueError: the value is not finite, or beyond any measurement.
    """
    _check(value)
    count = statistics.count + 1
    off = value - statistics.mean
    mean = statistics.mean + off / count
    return Statistics(count, mean, statistics.m2 + off * (value - mean))


def judge(statistics: Statistics, value: float, *, larger_is_better: bool) -> float:
    """Return the quality 0..1 of a value among those before it, which it has not joined yet.

    The first is good (1). Against values that are all equal, it is better (1), equal (0.5) or
    worse (0); otherwise the share of a normal distribution with their mean and standard
    deviation that it is better than.

    Raises:
        ValueError: the value is not finite, or beyond any measurement.
    """
    _check(value)
    if not statistics.count:
        return 1.0
    deviation = _deviation(value - statistics.mean, statistics.sd)
    return float(ndtr(deviation if larger_is_better else -deviation))


def judge_in_turn(
    statistics: Statistics, values: Floats, *, larger_is_better: bool
) -> tuple[Floats, Statistics]:
    """Return the quality (n,) of each of the values (n,), taken in turn, and the statistics after.

    The same as `judge` and `joined` one by one.

    Raises:
        ValueError: a value is not finite, or beyond any measurement.
    """
    for value in np.extract(~(np.abs(values) <= LARGEST), values):
        _check(float(value))
    count, mean, m2 = statistics.count, statistics.mean, statistics.m2
    deviations: list[float] = []
    for value in values.tolist():
        off = value - mean
        sd = math.sqrt(m2 / (count - 1)) if count > 1 else 0.0
        deviations.append(_deviation(off, sd))
        count += 1
        mean += off / count
        m2 += off * (value - mean)
    found = np.array(deviations, dtype=np.float64)
    quality = np.asarray(ndtr(found if larger_is_better else -found), dtype=np.float64)
    if not statistics.count:
        quality[:1] = 1.0
    return quality, Statistics(count, mean, m2)


def is_good(quality: float) -> bool:
    """Return whether a micrograph of this quality counts as good."""
    return quality >= GOOD


def _check(value: float) -> None:
    if not abs(value) <= LARGEST:
        raise ValueError(f"{value} is no measurement: it must be finite and below {LARGEST:g}")


def _deviation(off: float, sd: float) -> float:
    """Return how many standard deviations a value is off; infinitely many when there are none."""
    if sd > 0:
        return off / sd
    return math.copysign(math.inf, off) if off else 0.0
