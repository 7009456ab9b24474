"""`athanor models …`, `athanor weights …`, and the same under the names of SmartEM's users."""

import sys
import tomllib
from collections.abc import Callable
from importlib import import_module
from uuid import UUID

import pytest

from tests.acceptance.cli.conftest import GRID, Athanor
from tests.conftest import ROOT

SCRIPTS = {
    name: target
    for name, target in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "scripts"
    ].items()
    if name.startswith("smartem.")
}


def test_models_that_predicted_and_that_were_registered_are_listed(athanor: Athanor) -> None:
    assert athanor("models", "register", "new-net", "Looks at ice", "--level", "hole").code == 0
    found = {one["name"]: one for one in athanor("models", "list", "--json").json["items"]}
    assert set(found) == {"squares-net", "holes-net", "new-net"}
    assert (found["new-net"]["level"], found["new-net"]["description"]) == (
        "foilhole",
        "Looks at ice",
    )
    assert "Looks at ice" in athanor("models", "list").output
    assert "Looks at ice" in athanor("models", "show", "new-net").output


def test_a_model_is_registered_once_and_described_anew(athanor: Athanor) -> None:
    refused = athanor("models", "register", "holes-net", "again")
    assert refused.code == 1
    assert refused.sentence.startswith("Error: There is a model holes-net already")
    changed = athanor("models", "describe", "holes-net", "--description", "v2", "--json").json
    assert (changed["description"], changed["level"]) == ("v2", "foilhole")
    assert athanor("models", "describe", "holes-net").code == 2
    assert athanor("models", "show", "nobody").sentence.startswith(
        "Error: There is no model nobody"
    )


def test_random_predictions_are_messages_like_any(athanor: Athanor) -> None:
    ask = ("models", "random-predictions", "holes-net", "--random-range", 0.6, 0.7, "--seed", 3)
    before = athanor("status", "--json").json["inbox"]["by_state"]
    would = athanor(*ask, "--dry-run", "--json").json
    assert (would["predictions"], would["dry_run"], would["grid_uuid"]) == (6, True, str(GRID))
    assert athanor("status", "--json").json["inbox"]["by_state"] == before

    assert "6 holes of grid" in athanor(*ask).output
    athanor(*ask)  # the same seed: repeats

    page = athanor("messages", "list", "--source", "random-predictions", "--json").json["items"]
    assert len(page) == 6
    one = athanor("messages", "show", page[0]["id"], "--json").json
    assert 0.6 <= one["payload"]["prediction_value"] <= 0.7
    squares = athanor(
        "models", "random-predictions", "holes-net", "--level", "square", "--dry-run", "--json"
    ).json
    assert squares["predictions"] == 2


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["holes-net", "--random-range", "0.5", "1.5"], 2),
        (["holes-net", "--random-range", "0.9", "0.1"], 2),
        (["holes-net", "--level", "group"], 2),
        (["nobody"], 1),
        (["holes-net", "--grid-uuid", str(UUID(int=1))], 1),
    ],
    ids=["beyond 1", "reversed", "group", "no model", "no grid"],
)
def test_impossible_random_predictions_are_refused(
    athanor: Athanor, arguments: list[str], code: int
) -> None:
    ended = athanor("models", "random-predictions", *arguments)
    assert ended.code == code
    assert "Traceback" not in ended.errors


def test_initial_weights_and_those_of_a_grid_are_set(athanor: Athanor) -> None:
    assert athanor("weights", "init", "holes-net", 2).code == 0
    one = athanor("weights", "init", "holes-net", 3, "--metric", "ctfmaxresolution", "--json").json
    assert {(each["metric"], each["weight"]) for each in one["initial"]} == {
        (None, 2.0),
        ("ctfmaxresolution", 3.0),
    }
    assert athanor("weights", "init", "squares-net", 1, "--grid-uuid", GRID).code == 0
    set_ = athanor("weights", "init", "holes-net", 3, "--grid-uuid", GRID, "--json").json
    assert {(each["model"], each["weight"]) for each in set_["in_force"]} == {
        ("holes-net", 0.75),
        ("squares-net", 0.25),
    }
    assert len(set_["in_force"]) == 6
    rows = athanor("weights", "history", "--metric", "numparticles", "--json").json["items"]
    assert [(row["model"], row["quality"]) for row in rows[:2]] == [
        ("squares-net", None),
        ("holes-net", None),
    ]
    assert "0.75" in athanor("weights", "list").output
    assert athanor("weights", "init", "holes-net", 1, "--metric", "beauty").sentence.startswith(
        "Error: There is no metric beauty"
    )
    assert athanor("weights", "init", "holes-net", "--", -1).code == 2


def test_random_updates_change_weights_and_leave_a_history(athanor: Athanor) -> None:
    ask = ("weights", "random-updates", "--random-range", 0, 0.4)
    would = athanor(*ask, "--dry-run", "--json").json
    assert (would["micrographs"], would["good"], would["changed"]) == (1, 1, False)
    assert athanor("weights", "history", "--json").json["items"] == []

    done = athanor(*ask, "--json").json

    assert (done["changed"], done["metric"], done["grid_uuid"]) == (
        True,
        "motioncorrection",
        str(GRID),
    )
    judged = [
        row
        for row in athanor("weights", "history", "--json").json["items"]
        if row["quality"] is not None
    ]
    assert {(row["model"], row["quality"]) for row in judged} == {
        ("holes-net", 1.0),
        ("squares-net", 1.0),
    }
    assert sum(row["weight"] for row in judged) == pytest.approx(1)
    assert "1 as good, 0 as bad" in athanor(*ask).output


def _script(name: str) -> Callable[[], None]:
    module, _, function = SCRIPTS[name].partition(":")
    return getattr(import_module(module), function)


def test_users_of_smartem_find_their_commands() -> None:
    assert set(SCRIPTS) == {
        "smartem.register-prediction-model",
        "smartem.init-model-weight",
        "smartem.random-model-predictions",
        "smartem.random-prior-updates",
        "smartem.agent-cleanup",
    }


@pytest.mark.parametrize(
    ("command", "arguments", "code", "said"),
    [
        ("register-prediction-model", ["net", "A model", "--level", "square"], 0, "gridsquare"),
        ("register-prediction-model", ["holes-net", "A model"], 1, "already"),
        ("init-model-weight", ["holes-net", "0.5", "--grid-uuid", str(GRID)], 0, "Weights on grid"),
        ("init-model-weight", ["nobody", "0.5"], 1, "There is no model nobody"),
        ("random-model-predictions", ["holes-net", "--random-range", "0", "1"], 0, "6 holes"),
        ("random-prior-updates", ["--metric", "numparticles"], 0, "1 micrographs"),
        ("random-prior-updates", ["--help"], 0, "smartem.random-prior-updates"),
    ],
    ids=["register", "known", "weight", "unknown", "predictions", "updates", "help"],
)
def test_commands_of_smartem_do_the_same(
    athanor: Athanor,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
    arguments: list[str],
    code: int,
    said: str,
) -> None:
    monkeypatch.setattr(sys, "argv", [f"smartem.{command}", *arguments])
    with pytest.raises(SystemExit) as ended:
        _script(f"smartem.{command}")()
    told = capsys.readouterr()
    assert ended.value.code == code
    assert said in told.out + told.err
    assert "Traceback" not in told.err
