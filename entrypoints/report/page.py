"""Put a session's report together: one HTML file that loads nothing."""

import json
from collections.abc import Sequence
from datetime import datetime
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Any

from plotly.offline import get_plotlyjs
from plotly.utils import PlotlyJSONEncoder

from core.clock import utcnow
from entrypoints.report import plots
from models.cryoem.api_schemas import BasisView, DecisionDetail, SessionDetail
from models.cryoem.session_pictures import SessionPictures, of_interest

_HERE = Path(__file__).parent
#: Nothing may be loaded from anywhere: what the page needs is in it.
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
)


def as_page(
    session: SessionDetail, pictures: SessionPictures, decisions: Sequence[DecisionDetail]
) -> str:
    """Return the page."""
    data = {
        "plots": _plots(pictures),
        "squares": _squares(pictures),
        "shown": shown.square_id if (shown := of_interest(pictures.squares)) else None,
        "trails": {str(one.id): _trail(one) for one in decisions},
    }
    title = f"Session {session.name}"
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title>",
            f"<style>{_part('report.css')}</style></head><body>",
            _head(title, session),
            _figures(pictures),
            _decisions(session, decisions),
            f'<script type="application/json" id="data">{_json(data)}</script>',
            f"<script>{get_plotlyjs()}</script>",
            f"<script>{_part('report.js')}</script>",
            "</body></html>",
        ]
    )


def _part(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


def _json(data: object) -> str:
    text = json.dumps(data, cls=PlotlyJSONEncoder, separators=(",", ":"))
    # Text from outside must not end the element that it stands in.
    return text.replace("<", "\\u003c")


def _plots(pictures: SessionPictures) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if pictures.squares:
        found["atlas"] = plots.plain(plots.atlas(pictures.squares))
    if pictures.weights:
        found["weights"] = plots.plain(plots.weights(pictures))
    if pictures.exposures:
        found["exposures"] = plots.plain(plots.exposures(pictures))
    return found


def _squares(pictures: SessionPictures) -> dict[str, Any]:
    """Return the plot of each square's holes, by EPU's id of the square."""
    ids = {one.uuid: one.square_id for one in pictures.squares}
    marks = sorted(
        (one for one in pictures.holes if one.square_uuid in ids),
        key=lambda one: (ids[one.square_uuid], one.hole_id),
    )
    return {
        str(square): plots.holes(list(some), square)
        for square, some in groupby(marks, key=lambda one: ids[one.square_uuid])
    }


def _head(title: str, session: SessionDetail) -> str:
    athena = session.athena
    facts = (
        ("grid", f"{session.grid_name} ({session.grid_uuid})"),
        ("microscope", session.instrument_model),
        ("started", _moment(session.started_at)),
        ("ended", _moment(session.ended_at) if session.ended_at else "goes on"),
        ("Athena", f"{athena.session_name}, run {athena.run_number}" if athena else "not told"),
        ("this page", f"as of {_moment(utcnow())}"),
    )
    counts = (
        ("squares", session.squares),
        ("holes", session.holes),
        ("micrographs", session.micrographs),
        ("predictions", sum(session.predictions.values())),
        ("decisions at Athena", session.decisions_sent),
        ("on their way", session.decisions_pending),
    )
    return (
        f"<header><h1>{escape(title)}</h1><dl>"
        + "".join(f"<dt>{name}</dt><dd>{escape(str(said or '-'))}</dd>" for name, said in facts)
        + '</dl><ul class="counts">'
        + "".join(f"<li><b>{number:,}</b> {name}</li>" for name, number in counts)
        + "</ul></header>"
    )


def _moment(moment: datetime | None) -> str:
    return "not known" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _figures(pictures: SessionPictures) -> str:
    numbers = {one.uuid: one.square_id for one in pictures.squares}
    chosen = sorted(
        {numbers[one.square_uuid] for one in pictures.holes if one.square_uuid in numbers}
    )
    options = "".join(f'<option value="{one}">square {one}</option>' for one in chosen)
    choose = f'<select id="square-chosen" aria-label="Square">{options}</select>' if options else ""
    return (
        '<main class="plots">'
        + _figure("atlas", "Squares by score", "No squares are known.", pictures.squares,
                  "Click a square to see its holes. Grey: not scored. Cross: left out.")
        + _figure("square", f"Holes of one square {choose}", "No holes are known.", pictures.holes,
                  "The number is the hole's place in the order. Hover for more.")
        + _figure("weights", "Weights of the models", "No weights yet: they come with the first "
                  "measurement.", pictures.weights, "For each metric they sum to 1.")
        + _figure("exposures", "What was collected", "No micrographs yet.", pictures.exposures,
                  f"Good: the CTF fits to {pictures.cutoff:g} Å or better.")
        + "</main>"
    )  # fmt: skip


def _figure(name: str, title: str, empty: str, content: Sequence[object], caption: str) -> str:
    inside = f'<div id="{name}"></div>' if content else f'<p class="empty">{empty}</p>'
    return f"<section><h2>{title}</h2>{inside}<p>{escape(caption)}</p></section>"


def _decisions(session: SessionDetail, decisions: Sequence[DecisionDetail]) -> str:
    total = sum(one.decisions for one in session.decisions)
    if not decisions:
        return '<section class="wide"><h2>Decisions</h2><p class="empty">None yet.</p></section>'
    which = (
        f"{total:,}" if len(decisions) == total else f"the newest {len(decisions):,} of {total:,}"
    )
    return (
        f'<section class="wide"><h2>Decisions ({which})</h2>'
        '<p><input id="filter" type="search" placeholder="Filter: square, type, state, why …" '
        'aria-label="Filter"> Click a decision for its trail: predictions, messages, outbox, '
        "Athena.</p>"
        '<table id="decisions"><thead><tr><th>made (UTC)</th><th>square</th><th>type</th>'
        "<th>value</th><th>why</th><th>state</th><th>latency</th></tr></thead><tbody>"
        + "".join(_row(one) for one in decisions)
        + "</tbody></table></section>"
    )


def _row(one: DecisionDetail) -> str:
    latency = "-" if one.latency_seconds is None else f"{one.latency_seconds:.2f} s"
    cells = (
        f"{one.made_at:%Y-%m-%d %H:%M:%S}",
        "-" if one.square_id is None else one.square_id,
        one.decision_type,
        one.value,
        one.details,
        one.state.value,
        latency,
    )
    return (
        f'<tr data-id="{one.id}" tabindex="0">'
        + "".join(f"<td>{escape(str(cell))}</td>" for cell in cells)
        + "</tr>"
    )


def _trail(one: DecisionDetail) -> dict[str, Any]:
    sent, athena = one.outbox, one.athena
    return {
        "decision": [
            ("id", str(one.id)),
            ("decided by", f"{one.decided_by} (plugin {one.plugin_type})"),
            ("made by flow run", one.flow_run_id),
            ("put in the outbox", sent and _moment(sent.created_at)),
            ("tries", sent and sent.attempts),
            ("sent", sent and sent.sent_at and _moment(sent.sent_at)),
            ("sent by flow run", sent and sent.flow_run_id),
            ("last error", sent and sent.error),
            ("Athena's session", athena and str(athena.session_id)),
            ("Athena's area", athena and athena.area_id),
            ("told Athena", athena and athena.value),
        ],
        "predictions": [_basis(one, each) for each in one.predictions],
        "order": [
            (each.position, each.target_id, each.expected, each.uncertainty, each.cost)
            for each in one.order or ()
        ],
    }


def _basis(one: DecisionDetail, each: BasisView) -> list[Any]:
    chosen = one.outcome.get(each.target_uuid)
    return [
        each.target_id,
        each.model,
        each.metric or "overall",
        round(each.value, 4),
        "-" if chosen is None else "yes" if chosen else "no",
        _moment(each.predicted_at),
        each.source,
        each.message_id or str(each.message),
    ]
