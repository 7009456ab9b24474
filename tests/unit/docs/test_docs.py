"""The documents name each setting, dependency, decision and deployment, and their links lead on."""

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from api.examples import EXAMPLES
from core.settings import Settings
from models.cryoem.messages import EVENT_TYPES, parse
from tests.conftest import ROOT

DOCS = ROOT / "docs"
DOCUMENTS = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])

_LINK = re.compile(r"\]\(([^)\s]+)\)")
_SETTING = re.compile(r"ATHANOR_[A-Z0-9_]*[A-Z0-9]")
_CURL_BODY = re.compile(r"-d '(.*?)'", re.DOTALL)
_DEFAULT_OF_HOME = "the platform's folder for user data"


def rows_of(settings: type[BaseModel], prefix: str = "ATHANOR_") -> Iterator[tuple[str, str]]:
    """Yield each setting's environment variable and its row of the table."""
    for name, field in settings.model_fields.items():
        variable = prefix + name.upper()
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from rows_of(field.annotation, f"{variable}__")
        else:
            yield variable, f"| `{variable}` | {default_of(field)} | {field.description} |"


def default_of(field: FieldInfo) -> str:
    """Return a default as a person would set it."""
    if field.default_factory is not None:
        return _DEFAULT_OF_HOME
    value = field.default
    if value in (None, "", ()):
        return "none"
    return f"`{str(value).lower()}`" if isinstance(value, bool) else f"`{value}`"


def dependencies() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    names = {re.split(r"[\[<>=!~ ;]", line, maxsplit=1)[0] for group in groups for line in group}
    return names - {"athanor"}


def links() -> list[tuple[Path, str]]:
    found = [
        (document, link)
        for document in DOCUMENTS
        for link in _LINK.findall(document.read_text())
        if not link.startswith(("http://", "https://", "#", "mailto:"))
    ]
    assert found
    return found


@pytest.mark.parametrize(("variable", "row"), list(rows_of(Settings)))
def test_operate_tells_each_setting_with_its_default(variable: str, row: str):
    lines = (DOCS / "operate.md").read_text().splitlines()
    assert row in lines, f"docs/operate.md, table of settings: set the row of {variable} to\n{row}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_documents_name_no_setting_that_does_not_exist(document: Path):
    known = {variable for variable, _ in rows_of(Settings)}
    named = set(_SETTING.findall(document.read_text()))
    assert {name for name in named - known if not name.startswith("ATHANOR_TEST_")} == set()


def test_each_direct_dependency_has_its_line_and_no_other_has():
    text = (DOCS / "dependencies.md").read_text()
    told = re.findall(r"^\| (?!package \|)([a-z0-9-]+) \|", text, re.MULTILINE)
    assert sorted(told) == sorted(dependencies())


def test_each_decision_is_listed_once_under_its_own_title():
    listed = (DOCS / "decisions" / "README.md").read_text().splitlines()
    pages = sorted((DOCS / "decisions").glob("[0-9]*.md"))
    assert [page.name[:4] for page in pages] == [f"{n:04}" for n in range(1, len(pages) + 1)]
    for page in pages:
        number, title = page.read_text().splitlines()[0].removeprefix("# ").split(" ", 1)
        assert page.name.startswith(number)
        assert f"| [{number}]({page.name}) | {title} |" in listed


@pytest.mark.parametrize(
    ("document", "link"), links(), ids=lambda part: part if isinstance(part, str) else part.stem
)
def test_links_between_documents_lead_somewhere(document: Path, link: str):
    target = document.parent / link.partition("#")[0]
    assert target.exists()
    if "#" in link:
        headings = re.findall(r"^#+ (.+)$", target.read_text(), re.MULTILINE)
        anchors = {re.sub(r"[^\w\- ]", "", one).lower().replace(" ", "-") for one in headings}
        assert link.partition("#")[2] in anchors


def test_architecture_describes_each_deployment():
    project = yaml.safe_load((ROOT / "prefect.yaml").read_text())
    text = (DOCS / "architecture.md").read_text()
    missing = [one["name"] for one in project["deployments"] if f"| `{one['name']}` |" not in text]
    assert missing == []


def test_messages_shown_to_senders_are_accepted():
    bodies = _CURL_BODY.findall((DOCS / "messages.md").read_text())
    assert len(bodies) >= 3
    for body in bodies:
        content = json.loads(body)
        for message in content if isinstance(content, list) else [content]:
            parse(message)


def test_each_kind_of_message_has_a_row_that_names_it_and_its_fields():
    rows = [
        row.split("|")
        for row in (DOCS / "messages.md").read_text().splitlines()
        if row.startswith("| `") and len(row.split("|")) == 5
    ]
    told = {kind: row[2] for row in rows for kind in re.findall(r"`([a-z_.]+)`", row[1])}
    assert {kind for kind in told if "." in kind} == set(EVENT_TYPES)
    for kind, (_, example) in EXAMPLES.items():
        fields = set(example) - {"event_type", "message_id", "path", "observed_at", "manifest"}
        named = re.findall(r"\w+", told[kind])
        said = {
            "uuid",
            "grid_uuid",
            "gridsquare_id",
            "foilhole_id",
            "foilhole_ids",
            "micrograph_id",
        }
        assert kind.startswith("epu.") or fields - said <= set(named), kind


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_documents_name_no_folder_of_one_machine(document: Path):
    assert not re.search(r"(?<![\w.])/(work|root|home/\w+)/", document.read_text())
