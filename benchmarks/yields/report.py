"""The results as a table and in words, with the limits that are met and missed."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from benchmarks.yields.study import AUCS, HOURS, PLANNERS, RASTER, Result

#: Limits of the adaptive planner: times EPU's own order and the classic one, share of seeds in
#: which it is better than the classic one, share of the oracle, and seconds for 40,000 holes.
OVER_EPU: Final = 1.3
OVER_CLASSIC: Final = 1.1
BETTER: Final = 0.9
OF_ORACLE: Final = 0.85
SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Line:
    """A figure in words, and whether its limit is met."""

    words: str
    met: bool

    def __str__(self) -> str:
        return f"{'met   ' if self.met else 'MISSED'} {self.words}"


def table(results: list[Result]) -> str:
    """Return good micrographs per hour, mean and deviation over seeds, as a Markdown table."""
    rows = [
        f"| grid | AUC | {' | '.join((*PLANNERS, RASTER))} |",
        "|---|---|" + "---:|" * (len(PLANNERS) + 1),
    ]
    for kind in _kinds(results):
        for auc in AUCS:
            cells = [_rates(results, kind, auc, planner) for planner in (*PLANNERS, RASTER)]
            shown = " | ".join(f"{cell.mean():.1f} ± {cell.std():.1f}" for cell in cells)
            rows.append(f"| {kind} | {auc:g} | {shown} |")
    return "\n".join(rows)


def words(results: list[Result], replan_seconds: float) -> list[Line]:
    """Return the figures that have limits."""
    lines: list[Line] = []
    for kind in _kinds(results):
        adaptive = _rates(results, kind, 0.75, "adaptive")
        classic = _rates(results, kind, 0.75, "classic")
        epu = _rates(results, kind, 0.75, "EPU's order")
        share = _rates(results, kind, 0.9, "adaptive") / _rates(results, kind, 0.9, "oracle")
        wins, seeds = int((adaptive > classic).sum()), len(adaptive)
        mean = adaptive.mean()
        over_epu, over_classic = mean / epu.mean(), mean / classic.mean()
        lines += [
            Line(
                f"{kind}, AUC 0.75: adaptive {mean:.1f} good micrographs/h, "
                f"{over_epu:.2f} times EPU's order (limit {OVER_EPU:g})",
                bool(over_epu >= OVER_EPU),
            ),
            Line(
                f"{kind}, AUC 0.75: {over_classic:.2f} times classic (limit {OVER_CLASSIC:g})",
                bool(over_classic >= OVER_CLASSIC),
            ),
            Line(
                f"{kind}, AUC 0.75: better than classic in {wins} of {seeds} seeds "
                f"(limit {round(BETTER * seeds)})",
                wins >= round(BETTER * seeds),
            ),
            Line(
                f"{kind}, AUC 0.9: {share.mean():.0%} of the oracle (limit {OF_ORACLE:.0%})",
                bool(share.mean() >= OF_ORACLE),
            ),
        ]
    lines.append(
        Line(
            f"a plan of 40,000 holes takes {replan_seconds:.2f} s (limit {SECONDS:g})",
            replan_seconds <= SECONDS,
        )
    )
    return lines


def curves(results: list[Result], kind: str, auc: float, planner: str) -> np.ndarray:
    """Return (seeds, times) good micrographs over time."""
    return np.array([one.good for one in _of(results, kind, auc, planner)])


def _kinds(results: list[Result]) -> list[str]:
    return sorted({one.kind for one in results}, reverse=True)


def _of(results: list[Result], kind: str, auc: float, planner: str) -> list[Result]:
    wanted = (kind, auc, planner)
    return [one for one in results if (one.kind, one.auc, one.planner) == wanted]


def _rates(results: list[Result], kind: str, auc: float, planner: str) -> np.ndarray:
    """Return (seeds,) good micrographs per hour."""
    return curves(results, kind, auc, planner)[:, -1] / HOURS
