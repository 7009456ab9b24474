"""`docs/api.md` and `docs/openapi.json` say what the code does."""

import json
import re
from typing import Any, get_args

import pytest

from entrypoints import openapi_document
from models.cryoem.smartem import filters
from models.cryoem.smartem.filters import ListQuery
from tests.conftest import ROOT

_ROW = re.compile(r"^\| `(/[^`]*)` \| (.*) \| (.*) \|$", re.MULTILINE)

QUERIES: dict[str, type[ListQuery]] = {
    "/acquisitions": filters.AcquisitionQuery,
    "/acquisitions/grid-counts": filters.AcquisitionQuery,
    "/acquisitions/{}/grids": filters.GridsOfAcquisition,
    "/grids": filters.GridQuery,
    "/atlases": filters.AtlasQuery,
    "/atlases/{}/tiles": filters.TilesOfAtlas,
    "/atlas-tiles": filters.TileQuery,
    "/grids/{}/gridsquares": filters.SquaresOfGrid,
    "/gridsquares": filters.SquareQuery,
    "/gridsquares/{}/foilholes": filters.HolesOfSquare,
    "/foilholes": filters.HoleQuery,
    "/foilholes/{}/micrographs": filters.MicrographsOfHole,
    "/micrographs": filters.MicrographQuery,
}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return openapi_document.document()


def test_openapi_json_is_what_the_code_says(document: dict[str, Any]) -> None:
    kept = json.loads(openapi_document.PLACE.read_text())
    assert kept == document, "run `make openapi`"


def test_the_table_of_lists_names_each_filter_and_sort(document: dict[str, Any]) -> None:
    told = {
        path: tuple(set(re.findall(r"`([^`]+)`", cell)) for cell in cells)
        for path, *cells in _ROW.findall((ROOT / "docs" / "api.md").read_text())
    }
    common = {*ListQuery.model_fields, "sort"}
    offered = {
        path: (
            set(query.model_fields) - common,
            {
                name
                for name in get_args(query.model_fields["sort"].annotation)
                if not name.startswith("-")
            },
        )
        for path, query in QUERIES.items()
    }
    assert told == offered
    for path, query in QUERIES.items():
        (operation,) = [
            methods["get"]
            for name, methods in document["paths"].items()
            if re.sub("{[^}]*}", "{}", name) == path
        ]
        named = {one["name"] for one in operation["parameters"] if one["in"] == "query"}
        assert named == set(query.model_fields), path
