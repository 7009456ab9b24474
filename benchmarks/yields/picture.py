"""Good micrographs over time, as PNG and SVG."""

from pathlib import Path
from typing import Final

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.yields.report import curves
from benchmarks.yields.study import AUCS, HOURS, PLANNERS, TIMES, Result

#: Okabe and Ito's colours, told apart by people who are colour-blind; dashes help in grey.
_STYLES: Final = {
    "oracle": ("#000000", (0, (4, 2))),
    "adaptive": ("#0072B2", "solid"),
    "classic": ("#D55E00", (0, (6, 1.5, 1, 1.5))),
    "EPU's order": ("#009E73", "solid"),
    "random": ("#CC79A7", (0, (1, 1.2))),
}
#: Share of the seeds that lie within the band.
_BAND: Final = (10, 90)


def draw(results: list[Result], folder: Path, name: str = "yield") -> list[Path]:
    """Write one panel for each kind of grid and quality of predictors; return the files."""
    kinds = sorted({one.kind for one in results}, reverse=True)
    figure = Figure(figsize=(11, 3.3 * len(kinds) + 1.0), layout="constrained")
    panels = figure.subplots(len(kinds), len(AUCS), sharex=True, sharey="row", squeeze=False)
    for row, kind in zip(panels, kinds, strict=True):
        for axes, auc in zip(row, AUCS, strict=True):
            _panel(axes, results, kind, auc)
        row[0].set_ylabel("good micrographs")
    for axes in panels[-1]:
        axes.set_xlabel("hours of microscope time")
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False)
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{name}.png", folder / f"{name}.svg"]
    # Without a date and with fixed ids, so that the same results give the same file.
    with mpl.rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
        figure.savefig(files[0], dpi=110)
        figure.savefig(files[1], metadata={"Date": None})
    return files


def _panel(axes: Axes, results: list[Result], kind: str, auc: float) -> None:
    hours = TIMES / 60
    for planner in reversed(PLANNERS):
        good = curves(results, kind, auc, planner)
        colour, dashes = _STYLES[planner]
        axes.fill_between(
            hours, *np.percentile(good, _BAND, axis=0), color=colour, alpha=0.12, linewidth=0
        )
        axes.plot(
            hours, good.mean(axis=0), color=colour, linestyle=dashes, linewidth=2, label=planner
        )
    axes.set_title(f"{kind}, predictors of AUC {auc:g}", fontsize=11)
    axes.set_xlim(0, HOURS)
    axes.set_ylim(bottom=0)
    axes.set_xticks(range(0, HOURS + 1, 6))
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
