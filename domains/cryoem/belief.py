"""What is believed of each hole after some were measured: a hierarchical Bayesian estimate.

The log-odds that a hole's micrograph is good is a regression on what models predict (which
learns each model's calibration on this grid) plus a Gaussian process over patches (what patches,
squares and neighbouring squares have in common beyond that). Outcomes are 0 or 1, so the
posterior is Laplace's approximation (Rasmussen and Williams 2006, chapter 3), in the space of
coefficients and measured patches: its cost grows with those, not with the holes of the grid.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.special import expit, log_expit, softmax

from domains.cryoem.features import FeaturePrior, Features, features
from domains.cryoem.kernel import Common, Shares, Units, units_of, variance
from domains.cryoem.planning import Floats, GridState, Integers

#: Residual variances that are weighed against each other by how well they explain the outcomes:
#: squares that differ, and patches that differ within squares; each weak and strong.
_CANDIDATES: Final = tuple(
    shares.scaled(size)
    for shares in (Shares(0.35, 0.35, 0.2, 0.1), Shares(0.15, 0.2, 0.45, 0.2))
    for size in (0.5, 2.0)
)
#: With more measured patches than this, outcomes are pooled by square.
_MOST_PATCHES: Final = 400

#: Variances that explain the outcomes so much worse than others are left out.
_NEGLIGIBLE: Final = 0.15

_STEPS: Final = 25
#: Newton's method ends when a step gains less than this in log-probability.
_SETTLED: Final = 1e-3
_SHORTEST: Final = 1e-4
_JITTER: Final = 1e-6
#: Nodes of the Gauss-Hermite quadrature over the log-odds.
_NODES: Final = 7


@dataclass(frozen=True, slots=True)
class Belief:
    """What is believed of N holes."""

    #: (N,) mean and standard deviation of the log-odds that the micrograph is good.
    log_odds: Floats
    spread: Floats

    def chance(self) -> tuple[Floats, Floats]:
        """Return (N,) the expected probability of a good micrograph, and its deviation."""
        nodes, weights = np.polynomial.hermite_e.hermegauss(_NODES)
        weights = weights / weights.sum()
        expected, square = np.zeros_like(self.log_odds), np.zeros_like(self.log_odds)
        for node, weight in zip(nodes, weights, strict=True):
            chance = expit(self.log_odds + node * self.spread)
            expected += weight * chance
            square += weight * chance**2
        return expected, np.sqrt(np.maximum(square - expected**2, 0.0))


def believe(grid: GridState, prior: FeaturePrior | None = None) -> Belief:
    """Return what the grid's predictions and outcomes make one believe of its N holes."""
    columns = features(grid, prior or FeaturePrior())
    measured = np.flatnonzero(np.isfinite(grid.outcome))
    patches = len(np.unique(grid.patch[measured]))
    units = units_of(grid, whole_squares=patches > _MOST_PATCHES)
    # Holes of a unit stand together, so that sums over a unit are sums over a run.
    measured = measured[np.argsort(units.of_hole[measured], kind="stable")]
    seen, first, index = np.unique(units.of_hole[measured], return_index=True, return_inverse=True)
    sample = _Sample(
        design=columns.value[measured],
        unit=index,
        first=first,
        outcome=grid.outcome[measured],
        seen=seen,
        columns=columns,
        units=units,
        common=Common.of(units, np.arange(len(units.square)), seen),
        usual=_means(columns.value, units),
    )
    return _averaged(list(_posteriors(sample)), sample)


@dataclass(frozen=True, slots=True)
class _Sample:
    """n measured holes in m measured units, sorted by unit."""

    design: Floats
    unit: Integers
    #: (m,) the first hole of each unit.
    first: Integers
    outcome: Floats
    seen: Integers
    columns: Features
    units: Units
    #: What all units have in common with those measured.
    common: Common
    #: (U, F) each unit's mean features.
    usual: Floats


@dataclass(frozen=True, slots=True)
class _Posterior:
    shares: Shares
    #: (F + m,) coefficients and units' residuals at the mode.
    mode: Floats
    #: Cholesky factor of the negative Hessian there.
    curvature: tuple[Floats, bool]
    #: (m, m) inverse prior covariance of the units.
    inverse: Floats
    evidence: float


def _posteriors(sample: _Sample) -> Iterator[_Posterior]:
    start = np.concatenate([sample.columns.mean, np.zeros(len(sample.seen))])
    for shares in _CANDIDATES if len(sample.outcome) else _CANDIDATES[:1]:
        posterior = _posterior(sample, shares, start)
        start = posterior.mode
        yield posterior


def _posterior(sample: _Sample, shares: Shares, start: Floats) -> _Posterior:
    """Return Laplace's approximation for one set of residual variances."""
    count, units = sample.design.shape[1], len(sample.seen)
    prior = sample.common.rows(sample.seen).covariance(shares)
    prior[np.diag_indices(units)] += _JITTER
    factor = cho_factor(prior, lower=True, check_finite=False)
    inverse = cho_solve(factor, np.eye(units), check_finite=False)
    precision = np.zeros((count + units, count + units))
    precision[np.arange(count), np.arange(count)] = 1 / sample.columns.spread**2
    precision[count:, count:] = inverse
    centre = np.concatenate([sample.columns.mean, np.zeros(units)])
    mode = _mode(sample, precision, centre, start)
    curvature = cho_factor(_hessian(sample, precision, mode), lower=True, check_finite=False)
    off = mode - centre
    log_prior = -2 * np.log(sample.columns.spread).sum() - 2 * _log_diagonal(factor[0])
    evidence = _log_likelihood(sample, mode) - 0.5 * off @ precision @ off
    evidence += 0.5 * log_prior - _log_diagonal(curvature[0])
    return _Posterior(shares, mode, curvature, inverse, float(evidence))


def _mode(sample: _Sample, precision: Floats, centre: Floats, start: Floats) -> Floats:
    """Return where the posterior is highest: Newton's method, with steps halved as needed."""
    mode, height = start, _height(sample, precision, centre, start)
    for _ in range(_STEPS):
        slope = _gradient(sample, mode) - precision @ (mode - centre)
        factor = cho_factor(_hessian(sample, precision, mode), lower=True, check_finite=False)
        step = cho_solve(factor, slope, check_finite=False)
        size = 1.0
        while (higher := _height(sample, precision, centre, mode + size * step)) < height - 1e-9:
            size /= 2
            if size < _SHORTEST:
                return mode
        mode, gained, height = mode + size * step, higher - height, higher
        if gained < _SETTLED:
            break
    return mode


def _height(sample: _Sample, precision: Floats, centre: Floats, at: Floats) -> float:
    off = at - centre
    return _log_likelihood(sample, at) - 0.5 * float(off @ precision @ off)


def _log_odds(sample: _Sample, at: Floats) -> Floats:
    count = sample.design.shape[1]
    return sample.design @ at[:count] + at[count:][sample.unit]


def _log_likelihood(sample: _Sample, at: Floats) -> float:
    return float(log_expit((2 * sample.outcome - 1) * _log_odds(sample, at)).sum())


def _gradient(sample: _Sample, at: Floats) -> Floats:
    error = sample.outcome - expit(_log_odds(sample, at))
    of_units = np.bincount(sample.unit, weights=error, minlength=len(sample.seen))
    return np.concatenate([error @ sample.design, of_units]).astype(np.float64, copy=False)


def _hessian(sample: _Sample, precision: Floats, at: Floats) -> Floats:
    """Return the negative Hessian of the log posterior."""
    count, units = sample.design.shape[1], len(sample.seen)
    chance = expit(_log_odds(sample, at))
    weight = chance * (1 - chance)
    weighted = sample.design * weight[:, None]
    crossed = np.add.reduceat(weighted, sample.first, axis=0) if units else weighted[:0]
    hessian = precision.copy()
    hessian[:count, :count] += weighted.T @ sample.design
    hessian[count:, :count] += crossed
    hessian[:count, count:] += crossed.T
    diagonal = np.arange(count, count + units)
    hessian[diagonal, diagonal] += np.bincount(sample.unit, weights=weight, minlength=units)
    return hessian


def _log_diagonal(factor: Floats) -> float:
    return float(np.log(np.diag(factor)).sum())


def _averaged(posteriors: list[_Posterior], sample: _Sample) -> Belief:
    """Return the posteriors' mixture, by its first two moments."""
    share = softmax(np.array([posterior.evidence for posterior in posteriors]))
    share = np.where(share < _NEGLIGIBLE, 0.0, share)
    share /= share.sum()
    mean = np.zeros(len(sample.units.of_hole))
    second = np.zeros_like(mean)
    for weight, posterior in zip(share, posteriors, strict=True):
        if not weight:
            continue
        log_odds, spread2 = _predicted(posterior, sample)
        mean += weight * log_odds
        second += weight * (spread2 + log_odds**2)
    return Belief(mean, np.sqrt(np.maximum(second - mean**2, 0.0)))


def _predicted(posterior: _Posterior, sample: _Sample) -> tuple[Floats, Floats]:
    """Return (N,) mean and variance of the log-odds; the variance is that of the unit's mean hole.

    A unit's covariance with those measured carries what was learned over to it.
    """
    count = sample.design.shape[1]
    shared = sample.common.covariance(posterior.shares)
    carried = shared @ posterior.inverse
    residual = carried @ posterior.mode[count:]
    along = np.concatenate([sample.usual, carried], axis=1)
    spread = (along.T * cho_solve(posterior.curvature, along.T, check_finite=False)).sum(axis=0)
    spread += np.maximum(variance(posterior.shares) - (carried * shared).sum(axis=1), 0.0)
    log_odds = sample.columns.value @ posterior.mode[:count] + residual[sample.units.of_hole]
    return log_odds, spread[sample.units.of_hole]


def _means(value: Floats, units: Units) -> Floats:
    """Return (U, F) the mean over each unit's holes of (N, F)."""
    count = np.bincount(units.of_hole, minlength=len(units.square))
    total = [np.bincount(units.of_hole, weights=column, minlength=len(count)) for column in value.T]
    return np.stack(total, axis=1) / np.maximum(count, 1)[:, None]
