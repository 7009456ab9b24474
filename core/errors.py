"""Every exception of our own, in one tree.

AthanorError
├── ConfigurationError        the person who starts us must change something
│   ├── StorageUnavailable    database or folder cannot be used
│   └── PortTaken
├── BadInput                  what came from outside can never be processed
│   ├── OrganisationUnclear   whose the new is: say it
│   ├── MessageRejected
│   ├── CursorRejected
│   ├── ManifestUnreadable
│   │   ├── ManifestIncomplete   … yet: worth reading again later
│   │   └── ManifestLocked       cannot be opened: its content may be as good as any
│   ├── ArchiveRefused
│   └── RecordingRefused
│       └── EventRefused         one event of it
├── NotAuthenticated          who asks is not known: no token, or none that is good
├── NotPermitted              who asks is known, and may not
├── TooManyAttempts           wrong passwords from one place
├── IssuerUnavailable         the facility's issuer does not tell its public keys
├── NotFound
│   └── OutOfSight            another organisation's: for this caller there is no such thing
├── Conflict                  is at odds with what is there already
│   ├── SessionHeld           may not be deleted while somebody holds it
│   ├── SessionLeaving        is being deleted already
│   └── RestoreConflict       an archive and the database say different things
├── UnknownParent             refers to something that is not known yet
├── LeaseLost                 another worker has taken this work over
├── BrokerUnavailable         RabbitMQ cannot be reached, or did not do what we asked
│   └── BrokerOutcomeUnknown  some messages may be published, and some not
├── PrefectUnavailable        Prefect did not do what we asked; the sweep repeats it
├── NotificationUnsent        who shall be told of trouble could not be reached
└── AthenaError               the decision service did not do what we asked
    ├── AthenaUnavailable     nothing was done: safe to send again
    ├── AthenaOutcomeUnknown  it may have been done: ask before sending again
    ├── AthenaRejected        400: our request is wrong
    ├── AthenaNotFound        404
    └── AthenaConflict        409
"""

from collections.abc import Collection, Sequence


class AthanorError(Exception):
    """Something that Athanor knows how to name went wrong."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip().splitlines()[0])


class ConfigurationError(AthanorError):
    """A setting is missing or wrong."""


class StorageUnavailable(ConfigurationError):
    """The database or a folder of Athanor's cannot be used."""


class PortTaken(ConfigurationError):
    """A port that Athanor needs is already in use."""

    def __init__(self, port: int, what: str, setting: str) -> None:
        self.port = port
        super().__init__(
            f"Port {port} for the {what} is already in use. "
            f"Stop what uses it, or choose another with {setting}."
        )


class BadInput(AthanorError):
    """What came from outside can never be processed."""


class MessageRejected(BadInput):
    """A message does not have the form that its kind asks for."""

    def __init__(
        self, message: str, *, fields: Sequence[str] = (), reasons: Sequence[str] = ()
    ) -> None:
        self.fields = tuple(fields)
        #: What is wrong with each of the fields, in the same order.
        self.reasons = tuple(reasons)
        super().__init__(message)


class OrganisationUnclear(BadInput):
    """Whose something new is does not follow from who makes it."""

    def __init__(self, organisations: Collection[str]) -> None:
        theirs = ", ".join(sorted(organisations)) or "none"
        super().__init__(
            "Say whose it is with the header Athanor-Organisation, as one of your organisations "
            f"({theirs})."
        )


class CursorRejected(BadInput):
    """The cursor is not one that we gave for this list: take `next_cursor` of its last page."""


class ManifestUnreadable(BadInput):
    """An EPU file exists but is not what we expect of its kind."""

    def __init__(self, path: str, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"{path}: {reason}")


class ManifestIncomplete(ManifestUnreadable):
    """An EPU file ends too early: it may still be being written."""


class ManifestLocked(ManifestUnreadable):
    """An EPU file cannot be opened: another program holds it, or the network is away."""


class RecordingRefused(BadInput):
    """A recording of a folder is not one, or is damaged or hostile."""


class EventRefused(RecordingRefused):
    """An event of a recording cannot be played."""

    def __init__(self, number: int, what: str, reason: str) -> None:
        self.number = number
        self.what = what
        self.reason = reason
        super().__init__(f"Event {number} ({what}): {reason}")


class NotAuthenticated(AthanorError):
    """Say who you are: send a token or a key as `Authorization: Bearer …`."""


class NotPermitted(AthanorError):
    """You may not do this."""

    def __init__(self, message: str, *, permission: str | None = None) -> None:
        #: What is lacking, by its name.
        self.permission = permission
        super().__init__(message)


class TooManyAttempts(AthanorError):
    """There were too many wrong passwords or secrets from here."""

    def __init__(self, seconds: float) -> None:
        #: When it may be tried again.
        self.seconds = seconds
        super().__init__(
            f"There were too many wrong passwords or secrets from here. Wait {seconds:.0f} s."
        )


class IssuerUnavailable(AthanorError):
    """The issuer of the token could not be asked for its public keys."""


class ArchiveRefused(BadInput):
    """An archive of a session is not one, or is damaged, hostile or too new."""


class NotFound(AthanorError):
    """There is no such thing."""


class OutOfSight(NotFound):
    """It belongs to another organisation: for who asks, it is not there."""

    def __init__(self, what: str) -> None:
        super().__init__(f"There is no {what}, or it is not yours to see.")


class Conflict(AthanorError):
    """This is at odds with what is there already."""


class SessionHeld(Conflict):
    """A session is held: nobody deletes it before it is released."""

    def __init__(self, grid: object, reason: str, by: str) -> None:
        super().__init__(
            f"Session {grid} is held by {by} ({reason}) and may not be deleted. "
            f"`athanor sessions release {grid}` releases it."
        )


class RestoreConflict(Conflict):
    """Rows of an archive are in the database already, with other content."""

    def __init__(self, rows: Sequence[str], *, more: bool = False) -> None:
        self.rows = tuple(rows)
        named = "; ".join(rows) + ("; and more" if more else "")
        super().__init__(
            f"The archive is not restored: there already, with other content: {named}."
        )


class SessionLeaving(Conflict):
    """Retention has begun to delete the session, and it can no longer be held."""

    def __init__(self, grid: object, archive: str | None) -> None:
        where = f" Its archive is {archive}." if archive else ""
        super().__init__(f"Session {grid} is being deleted already.{where}")


class UnknownParent(AthanorError):
    """This refers to something that is not known yet."""

    def __init__(self, kind: str, ident: str) -> None:
        self.kind = kind
        self.ident = ident
        super().__init__(f"{kind} {ident} is not known yet")


class LeaseLost(AthanorError):
    """Another worker has taken this work over."""


class BrokerUnavailable(AthanorError):
    """RabbitMQ could not be reached, or did not do what we asked."""

    def __init__(self, message: str | None = None, *, code: int | None = None) -> None:
        #: RabbitMQ's own number for why, such as 404 where there is no such queue.
        self.code = code
        super().__init__(message)


class BrokerOutcomeUnknown(BrokerUnavailable):
    """Some messages were confirmed by RabbitMQ, of the others nothing is known."""

    def __init__(self, message: str, *, confirmed: Collection[str]) -> None:
        self.confirmed = frozenset(confirmed)
        super().__init__(message)


class PrefectUnavailable(AthanorError):
    """Prefect's server could not be reached, or refused what we asked."""


class NotificationUnsent(AthanorError):
    """A notification was not taken by the address that is set for it."""


class AthenaError(AthanorError):
    """The Athena Decision Service did not do what we asked."""

    def __init__(self, message: str | None = None, *, status: int | None = None) -> None:
        self.status = status
        super().__init__(message)


class AthenaUnavailable(AthenaError):
    """Athena could not be reached, or refused before doing anything."""


class AthenaOutcomeUnknown(AthenaError):
    """Athena may or may not have done what we asked."""


class AthenaRejected(AthenaError):
    """Athena says that our request is wrong (400)."""


class AthenaNotFound(AthenaError):
    """Athena does not know what we refer to (404)."""


class AthenaConflict(AthenaError):
    """Athena refuses because of what it already has, or lacks (409)."""
