"""What routes are handed of access: who is asking, and who decides it."""

from typing import Annotated

from fastapi import Depends, Request

from api.access.bearers import Access
from core.caller import Caller, current_caller


def _access(request: Request) -> Access:
    return request.app.state.access


async def _caller() -> Caller:
    return current_caller()


Accessing = Annotated[Access, Depends(_access)]
#: Who is asking: `caller: Asking`. Below the routes, `core.caller.current_caller()` is the same.
Asking = Annotated[Caller, Depends(_caller)]
