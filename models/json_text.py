"""JSON that is text already: what a validated message was written as is not written again."""

import json


class JsonText(str):
    """The JSON text of a value, for a column that holds JSON."""

    __slots__ = ()


def dumps(value: object) -> str:
    """Return the JSON text of a value; of text that is JSON already, itself."""
    return value if isinstance(value, JsonText) else json.dumps(value)
