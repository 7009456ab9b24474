"""The reference model, checked by hand on a grid of one square with nine holes."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import pytest

from benchmarks.chaos.reference import Arrived, Expected, Value, expect
from benchmarks.chaos.weights import METRICS, Ground, Weights
from benchmarks.chaos.world import make_grids
from core.ids import derived

(GRID,) = make_grids(1, grids=1, squares=1, holes=9)
(SQUARE,) = GRID.squares
FIRST, SECOND = SQUARE.holes[:2]
(AT_BAR,) = (hole for hole in SQUARE.holes if hole.at_bar)
GROUP = derived(GRID.uuid, "group")


def after(*bodies: dict[str, Any], weights: Mapping[Ground, Weights] | None = None) -> Expected:
    """The end state after messages with ids m0, m1, …, stored in this order."""
    return expect([GRID], [Arrived(f"m{n}", body) for n, body in enumerate(bodies)], weights)


def hole(uuid: object, value: float, **more: Any) -> dict[str, Any]:
    return {
        "event_type": "foilhole.model_prediction",
        "foilhole_uuid": str(uuid),
        "prediction_model_name": "net",
        "prediction_value": value,
        **more,
    }


def square(value: float, **more: Any) -> dict[str, Any]:
    return {
        "event_type": "gridsquare.model_prediction",
        "grid_uuid": str(GRID.uuid),
        "gridsquare_id": SQUARE.square_id,
        "prediction_model_name": "net",
        "prediction_value": value,
        **more,
    }


def test_the_prediction_stored_last_is_the_current_one() -> None:
    expected = after(hole(FIRST.uuid, 0.9), hole(FIRST.uuid, 0.2))

    assert expected.current == {(FIRST.uuid, "net", ""): Value("m1", 0.2)}
    assert expected.history == {
        ("m0", FIRST.uuid, "net", ""): 0.9,
        ("m1", FIRST.uuid, "net", ""): 0.2,
    }
    assert expected.holes == {SQUARE.uuid: {FIRST.uuid: False}}


def test_each_model_and_metric_has_its_own_current_prediction() -> None:
    expected = after(
        square(0.9), square(0.1, prediction_model_name="other"), square(0.7, metric="numparticles")
    )

    assert {key[1:]: value.value for key, value in expected.current.items()} == {
        ("net", ""): 0.9,
        ("other", ""): 0.1,
        ("net", "numparticles"): 0.7,
    }


def test_square_with_several_predictions_is_selected_by_their_score() -> None:
    bodies = (square(0.9), square(0.4, prediction_model_name="other"))

    def selected(net: float) -> dict[UUID, bool]:
        weights = {(GRID.uuid, metric): {"net": net, "other": 1 - net} for metric in METRICS}
        return after(*bodies, weights=weights).squares

    # The weighted mean is the same for each metric: 0.65 with equal weights.
    assert after(*bodies).squares == selected(0.5) == {SQUARE.uuid: True}
    assert selected(0.1) == {SQUARE.uuid: False}


def test_score_is_the_geometric_mean_over_metrics_of_what_is_said_or_not_known() -> None:
    expected = after(square(0.8, metric="numparticles"), hole(FIRST.uuid, 0.2))

    # Own before the square's: 0.2 everywhere. Without one of its own: unknown but for one metric.
    assert expected.scores[FIRST.uuid] == pytest.approx(0.2)
    assert expected.scores[SECOND.uuid] == pytest.approx((0.8 * 0.5 * 0.5) ** (1 / 3))


def test_one_prediction_of_a_hole_decides_whatever_is_said_of_its_square() -> None:
    expected = after(square(0.1), hole(FIRST.uuid, 0.6, metric="numparticles"))

    assert expected.holes == {SQUARE.uuid: {FIRST.uuid: True}}
    assert expected.scores[FIRST.uuid] == pytest.approx((0.6 * 0.1 * 0.1) ** (1 / 3))


def test_a_hole_at_a_grid_bar_is_never_selected() -> None:
    expected = after(hole(AT_BAR.uuid, 0.99), hole(SECOND.uuid, 0.99))

    assert expected.holes == {SQUARE.uuid: {AT_BAR.uuid: False, SECOND.uuid: True}}


def test_what_equals_the_threshold_is_not_selected() -> None:
    assert after(square(0.5)).squares == {SQUARE.uuid: False}


def test_one_value_for_a_group_counts_for_all_its_holes_even_if_it_came_first() -> None:
    expected = after(
        {
            "event_type": "foilhole.group_model_prediction",
            "group_uuid": str(GROUP),
            "prediction_model_name": "net",
            "prediction_value": 0.8,
        },
        {
            "event_type": "foilhole.group_create",
            "grid_uuid": str(GRID.uuid),
            "group_uuid": str(GROUP),
            "foilhole_uuids": [str(FIRST.uuid), str(SECOND.uuid)],
        },
        hole(SECOND.uuid, 0.1),
    )

    assert expected.groups == {GROUP: {FIRST.uuid, SECOND.uuid}}
    assert expected.holes == {SQUARE.uuid: {FIRST.uuid: True, SECOND.uuid: False}}


def test_measurements_are_all_kept_and_the_last_is_current() -> None:
    micrograph = FIRST.micrograph

    def motion(total: float) -> dict[str, Any]:
        return {
            "event_type": "motion_correction.completed",
            "micrograph_uuid": str(micrograph),
            "total_motion": total,
            "average_motion": 1.0,
        }

    expected = after(motion(20.0), motion(30.0))

    assert micrograph is not None
    assert expected.measured[micrograph, "total_motion"] == Value("m1", 30.0)
    assert expected.measurements["m0", "total_motion"] == 20.0
    assert len(expected.measurements) == 4


def test_the_parameter_stored_last_counts_for_its_group_and_key() -> None:
    def parameter(group: str, value: float) -> dict[str, Any]:
        return {
            "event_type": "grid.model_parameter_update",
            "grid_uuid": str(GRID.uuid),
            "prediction_model_name": "net",
            "group": group,
            "key": "x",
            "value": value,
        }

    expected = after(parameter("a", 1.0), parameter("b", 2.0), parameter("a", 3.0))

    assert expected.parameters == {
        (GRID.uuid, "net", "", "a", "x"): 3.0,
        (GRID.uuid, "net", "", "b", "x"): 2.0,
    }
