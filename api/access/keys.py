"""API keys: for agents and other programs that send the same token for long."""

from http import HTTPStatus

from fastapi import APIRouter
from sqlmodel import Session

from api.access.state import Accessing, Asking
from api.access.views import KeyView, KeyWanted, NewKeyView
from api.errors import problems
from core.caller import Caller
from core.clock import utcnow
from core.errors import NotPermitted
from models.access import machines
from models.access.grants import caller_of
from models.access.tables import ApiKey

router = APIRouter(prefix="/auth/keys", tags=["access"])


@router.get("", responses=problems())
async def get_keys(access: Accessing) -> list[KeyView]:
    """List all keys, the newest first, without what is secret of them."""
    return [KeyView.model_validate(one) for one in await access.database.read(machines.list_keys)]


@router.post(
    "", status_code=HTTPStatus.CREATED, responses=problems(HTTPStatus.UNPROCESSABLE_ENTITY)
)
async def post_key(access: Accessing, caller: Asking, wanted: KeyWanted) -> NewKeyView:
    """Make a key; it is shown in this answer and never again."""
    key, secret = await access.database.write(_add, wanted, caller)
    return NewKeyView(**KeyView.model_validate(key).model_dump(), key=secret)


@router.delete(
    "/{prefix}",
    responses=problems(HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY),
)
async def delete_key(access: Accessing, prefix: str) -> KeyView:
    """Make a key worthless, at once."""
    key = await access.database.write(machines.revoke_key, prefix, now=utcnow())
    access.forget()
    return KeyView.model_validate(key)


def _add(session: Session, wanted: KeyWanted, caller: Caller) -> tuple[ApiKey, str]:
    key, secret = machines.add_key(
        session,
        wanted.name,
        wanted.role,
        scopes=wanted.scopes or (),
        organisations=wanted.organisations or (),
        days=wanted.days,
        created_by=caller.name,
        now=utcnow(),
    )
    _require_no_more(caller_of(key), caller)
    return key, secret


def _require_no_more(given: Caller, giver: Caller) -> None:
    """Refuse a key that may do more than who makes it."""
    if not given.permissions <= giver.permissions:
        beyond = ", ".join(sorted(given.permissions - giver.permissions))
        raise NotPermitted(f"A key may do no more than {giver.name}: leave out {beyond}.")
    theirs = giver.organisations
    if theirs is not None and (given.organisations is None or not given.organisations <= theirs):
        named = ", ".join(sorted(theirs)) or "none"
        raise NotPermitted(f"A key sees no more than {giver.name}: name organisations of {named}.")
