"""Requests with an `Idempotency-Key`: a repeat is answered as the first was."""

from typing import Any

import pydantic_core
from sqlmodel import Session

from core.clock import utcnow
from models import answers
from models.visibility import choice


class Keyed:
    """Messages that were sent under a key."""

    def __init__(self, source: str, key: str, messages: list[Any]) -> None:
        # The same words of another organisation are another request.
        sender = choice.of_sender()
        self._id = answers.ident(source if sender is None else f"{sender}\x1f{source}", key)
        self._digest = answers.digest(pydantic_core.to_json(messages))
        #: For messages that have none of their own.
        self.message_ids = [f"{key}/{index}" for index in range(len(messages))]

    def answered(self, session: Session) -> str | None:
        """Return what was answered to this very request; None for nothing yet.

        Other messages under a key that was used before are a request of their own.
        """
        return answers.find(session, self._id, self._digest)

    def keep(self, session: Session, answer: str) -> None:
        """Keep an answer for repeats.

        It follows the messages in a transaction of its own: should it not come to that, a
        repeat stores nothing twice and is answered with the same ids.
        """
        answers.keep(session, self._id, self._digest, answer, now=utcnow())
