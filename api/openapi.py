"""The OpenAPI document: what FastAPI cannot know of by itself is added here."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import TypeAdapter

from api.access.documented import describe_access
from api.errors import Problem
from api.path_words import describe_limits, describe_paths
from models.cryoem.messages import AnyMessage

DESCRIPTION = """
Messages come in, decisions go out, and every decision can be traced to what caused it.

* **messages**: `POST /messages` stores what instruments and models report. `GET /messages` shows
  what became of it; `?state=dead` is what needs a person, `POST /messages/{id}/retry` injects it
  again.
* **sessions**: what is known of each EPU session, its squares, holes and micrographs.
* **decisions**: what was decided, how far it is on its way to Athena, and why.

* **acquisitions**, **grids**, **atlases**, **squares**, **holes**, **micrographs**: what SmartEM's
  clients read and write. Without parameters these lists are one plain array of everything; with
  `limit` or `cursor` a page, whose `Link` header leads to the next one. They can be filtered,
  sorted and cut down to `fields`, and answer 304 to the `ETag` of what did not change.

The other lists are objects with `items`: give `next_cursor` of one page as `cursor` to get the
next. Errors are problem documents (RFC 9457, `application/problem+json`). Times are UTC.
"""

TAGS = [
    {"name": "messages", "description": "What comes in."},
    {"name": "sessions", "description": "What is known."},
    {"name": "decisions", "description": "What was decided, and why."},
    {"name": "acquisitions", "description": "EPU sessions, as SmartEM's clients know them."},
    {"name": "grids", "description": "What an acquisition images."},
    {"name": "atlases", "description": "Overviews of grids, and their tiles."},
    {"name": "squares", "description": "Grid squares."},
    {"name": "holes", "description": "Foil holes: the targets of a square."},
    {"name": "micrographs", "description": "Exposures of holes."},
    {"name": "models", "description": "What predicts, and how it is weighed."},
    {"name": "predictions", "description": "What models predict, of what they place together."},
    {"name": "processing", "description": "What image processing finds on micrographs."},
    {"name": "images", "description": "What atlas and squares look like."},
    {"name": "agents", "description": "Sessions of agents, and what agents are told and say."},
    {"name": "instructions", "description": "What agents are told to do, and what became of it."},
    {"name": "live", "description": "What pages are told as it happens."},
    {"name": "debug", "description": "By hand, for tests; offered when switched on."},
    {"name": "retention", "description": "What is kept for how long, and what is held."},
    {"name": "access", "description": "Who is asking, and what they may do."},
    {"name": "health", "description": "How the service does."},
]

_REF = "#/components/schemas/{model}"


def describe(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document, made once."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title,
            version=app.version,
            description=app.description,
            routes=app.routes,
            tags=app.openapi_tags,
        )
        schemas = document["components"]["schemas"]
        message = TypeAdapter(AnyMessage).json_schema(ref_template=_REF)
        problem = Problem.model_json_schema(ref_template=_REF)
        for schema in (message, problem):
            schemas.update(schema.pop("$defs"))
        schemas.update(Message=message, Problem=problem)
        describe_access(document)
        describe_paths(document)
        describe_limits(document)
        app.openapi_schema = document
    return app.openapi_schema
