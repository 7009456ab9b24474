"""Messages: take them in, look at them, inject them again."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header, Query
from pydantic import BaseModel, Field

from api.bodies import Received
from api.errors import NotRetryable, problems
from api.examples import MESSAGES_BODY
from api.keyed import Keyed
from api.parameters import Cursor, Limit, text_filter
from api.state import Serving
from models.cryoem.api_schemas import MessageDetail, MessageSummary
from models.cryoem.queries.messages import MessageFilter, get_message, list_messages
from models.cryoem.states import MessageState
from models.inbox import Stored
from models.paging import Page
from tasks.intake import accept, reinject

router = APIRouter(prefix="/messages", tags=["messages"])


class AcceptedMessages(BaseModel):
    """What was stored."""

    ids: list[UUID] = Field(description="Our ids of the messages, in the order sent.")
    repeated: int = Field(description="How many of them had come before and were left as they are.")

    @classmethod
    def of(cls, stored: Sequence[Stored]) -> "AcceptedMessages":
        """Return what to answer."""
        return cls(ids=[one.id for one in stored], repeated=sum(one.repeated for one in stored))


class RetriedMessage(BaseModel):
    """What became of a message that was injected again."""

    id: UUID = Field(description="Our id of the message.")
    state: MessageState = Field(description="pending; or waiting or dead still.")
    reason: str | None = Field(description="Why it is not pending.")


@router.post(
    "",
    status_code=HTTPStatus.ACCEPTED,
    responses=problems(
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        HTTPStatus.UNPROCESSABLE_ENTITY,
    ),
    openapi_extra={"requestBody": MESSAGES_BODY},
)
async def post_messages(
    services: Serving,
    messages: Received,
    source: Annotated[
        str,
        Query(
            min_length=1,
            max_length=100,
            pattern=r"^[^\x00]*$",
            description="Who sends; message ids are unique per source.",
        ),
    ] = "http",
    idempotency_key: Annotated[
        str | None,
        Header(
            min_length=1,
            max_length=200,
            description="Sent again with the same key, messages are stored once and answered as "
            "the first time: those without a message_id of their own get `<key>/<index>`.",
        ),
    ] = None,
) -> AcceptedMessages:
    """Take in one message or a list.

    All are stored before the answer, or none is: 422 names each wrong field of each message.
    A message about a square or hole that is not known yet is stored and waits for it.
    The body may be packed (`Content-Encoding: gzip`).
    """
    if idempotency_key is None:
        accepted = await accept(services, messages, source=source)
        return AcceptedMessages.of(accepted.stored)
    keyed = Keyed(source, idempotency_key, messages)
    answered = await services.database.read(keyed.answered)
    if answered is not None:
        return AcceptedMessages.model_validate_json(answered)
    accepted = await accept(services, messages, source=source, message_ids=keyed.message_ids)
    answer = AcceptedMessages.of(accepted.stored)
    await services.database.write(keyed.keep, answer.model_dump_json())
    return answer


@router.get("", responses=problems(HTTPStatus.UNPROCESSABLE_ENTITY))
async def get_messages(
    services: Serving,
    state: Annotated[MessageState | None, Query(description="Only in this state.")] = None,
    kind: Annotated[
        str | None, text_filter("Only of this event_type.", "foilhole.model_prediction")
    ] = None,
    key: Annotated[
        str | None,
        text_filter("Only about this grid.", "0b6f9c2e-6a0e-5d0c-9d55-0d2f2b6a7c11"),
    ] = None,
    source: Annotated[str | None, text_filter("Only from this sender.", "rabbitmq")] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[MessageSummary]:
    """List messages, newest first. `?state=dead` shows what needs a person."""
    wanted = MessageFilter(state, kind, key, source)
    return await services.database.read(list_messages, wanted, limit=limit, cursor=cursor)


@router.get("/{id}", responses=problems(HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY))
async def get_one_message(services: Serving, id: UUID) -> MessageDetail:  # noqa: A002 (the path's name)
    """Show a message with its content, and the predictions and decisions that it led to."""
    return await services.database.read(get_message, id)


@router.post(
    "/{id}/retry",
    responses=problems(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY),
)
async def retry_message(services: Serving, id: UUID) -> RetriedMessage:  # noqa: A002 (the path's name)
    """Inject a dead or waiting message again, validated afresh.

    One that is still not possible stays dead or waiting, and the answer says why.
    """
    message = await services.database.read(get_message, id)
    outcomes = await reinject(services, [id])
    if not outcomes:
        raise NotRetryable(f"Message {id} is {message.state}: only dead and waiting ones are.")
    return RetriedMessage.model_validate(outcomes[0], from_attributes=True)
