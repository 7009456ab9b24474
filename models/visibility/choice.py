"""For which organisation something new is made, where that is not clear by itself."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from core.caller import current_caller
from core.errors import OrganisationUnclear, OutOfSight

_chosen: ContextVar[str | None] = ContextVar("athanor_organisation", default=None)


@contextmanager
def choosing(organisation: str | None) -> Iterator[None]:
    """Let what is made while the context lasts be this organisation's."""
    token = _chosen.set(organisation)
    try:
        yield
    finally:
        _chosen.reset(token)


def chosen() -> str | None:
    """Return the organisation that the caller named, which need not be theirs."""
    return _chosen.get()


def of_sender() -> str | None:
    """Return whose what the caller sends is; None for who sees all, or did not say."""
    organisations = current_caller().organisations
    if organisations is None:
        return None
    named = chosen()
    if named is not None:
        return named if named in organisations else None
    return next(iter(organisations)) if len(organisations) == 1 else None


def of_new(organisations: Collection[str], *, suggested: str | None = None) -> str:
    """Return whose something new is, of who belongs to these organisations.

    Raises:
        OutOfSight: They named an organisation that is not theirs.
        OrganisationUnclear: They have several, or none, and named none.
    """
    named = chosen()
    if named is not None:
        if named not in organisations:
            raise OutOfSight(f"organisation {named}")
        return named
    if suggested is not None and suggested in organisations:
        return suggested
    if len(organisations) == 1:
        return next(iter(organisations))
    raise OrganisationUnclear(organisations)
