"""Write the API's OpenAPI document to `docs/openapi.json`: `make openapi`."""

import json
import sys
from pathlib import Path
from typing import Any

from api.app import create_app
from core.instruction_settings import InstructionSettings
from core.settings import Settings
from messaging.doorbell import LocalDoorbell
from models.database import Database

#: Where it is kept.
PLACE = Path(__file__).resolve().parents[1] / "docs" / "openapi.json"


def document(*, debug_routes: bool = True) -> dict[str, Any]:
    """Return the document; with all routes that there may be."""
    instructions = InstructionSettings(debug_routes=debug_routes)
    settings = Settings.model_construct(instructions=instructions)
    database = Database("sqlite://")
    app = create_app(settings, database=database, doorbell=LocalDoorbell(), launcher=None)
    database.close()
    return app.openapi()


def text_of(described: dict[str, Any]) -> str:
    """Return a document as it is kept."""
    return json.dumps(described, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1] if len(sys.argv) > 1 else PLACE).write_text(text_of(document()))
