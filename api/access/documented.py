"""What the OpenAPI document says of access: how to sign in, and what each operation asks for."""

from http import HTTPStatus
from typing import Any

from api.access import rules
from api.errors import problems
from core.permissions import Permission

_SCHEMES: dict[str, Any] = {
    "password": {
        "type": "oauth2",
        "description": "For people and machine clients of Athanor's own.",
        "flows": {
            "password": {
                "tokenUrl": "auth/token",
                "refreshUrl": "auth/token",
                "scopes": {},
            },
            "clientCredentials": {
                "tokenUrl": "auth/token",
                "scopes": {permission.value: "" for permission in Permission},
            },
        },
    },
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key (`athk_…`), or a token of the facility's issuer.",
    },
}


def describe_access(document: dict[str, Any]) -> None:
    """Add to the document how one signs in, and what each operation asks for."""
    document["components"]["securitySchemes"] = _SCHEMES
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            _describe(rules.name_of(method.upper(), path), operation)


def _describe(name: str, operation: dict[str, Any]) -> None:
    if name in rules.PUBLIC:
        operation["security"] = []
        return
    operation["security"] = [{"password": []}, {"bearer": []}]
    permission = rules.PERMISSIONS.get(name)
    if permission is not None:
        operation["x-permission"] = permission.value
        operation["description"] = f"{operation['description']}\n\nTakes `{permission}`."
    refused = problems(HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
    for status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        operation["responses"].setdefault(str(status.value), refused[status.value])
