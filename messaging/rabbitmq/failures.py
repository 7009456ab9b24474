"""What pika raises, in words of ours."""

from collections.abc import Iterator
from contextlib import contextmanager
from socket import gaierror
from typing import Final
from urllib.parse import urlsplit

from pika import URLParameters
from pika.adapters.utils.connection_workflow import AMQPConnectorException
from pika.exceptions import (
    AMQPError,
    AuthenticationError,
    ChannelClosed,
    ChannelError,
    ConnectionClosed,
    ProbableAccessDeniedError,
    ProbableAuthenticationError,
)

from core.errors import AthanorError, BrokerUnavailable, ConfigurationError

SETTING: Final = "ATHANOR_RABBITMQ__URL"
_FORM: Final = "amqp://user:password@host:5672/vhost (the vhost / is written %2F)"

_FOREIGN = (AMQPError, AMQPConnectorException, ChannelError, OSError, TimeoutError)


def parameters_of(url: str) -> URLParameters:
    """Return pika's form of an AMQP URL.

    Raises:
        ConfigurationError: It is none; the URL is not shown, there may be a password in it.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"amqp", "amqps"} or not parts.hostname:
        raise ConfigurationError(f"{SETTING} is no AMQP URL: it has the form {_FORM}.")
    try:
        return URLParameters(url)
    except (ValueError, TypeError, AttributeError) as error:
        raise ConfigurationError(
            f"{SETTING} is not understood ({error}): it has the form {_FORM}."
        ) from error


def where_is(parameters: URLParameters) -> str:
    """Return the broker's address as a person may see it."""
    return f"{parameters.host}:{parameters.port}"


def translate(error: BaseException, parameters: URLParameters) -> AthanorError:
    """Return the error of ours that says the same."""
    if isinstance(error, AthanorError):
        return error
    where = where_is(parameters)
    if isinstance(error, ProbableAuthenticationError | AuthenticationError):
        return ConfigurationError(
            f"RabbitMQ at {where} refuses the user or the password. Check {SETTING}."
        )
    if isinstance(error, ProbableAccessDeniedError):
        return ConfigurationError(
            f"RabbitMQ at {where} has no vhost {parameters.virtual_host!r}, or the user has no "
            f"rights there. Check {SETTING}: it has the form {_FORM}."
        )
    if isinstance(error, ChannelClosed | ConnectionClosed):
        return BrokerUnavailable(
            f"RabbitMQ at {where} says: {error.reply_text}", code=error.reply_code
        )
    return BrokerUnavailable(f"RabbitMQ at {where} does not answer ({_reason(error)}).")


@contextmanager
def translated(parameters: URLParameters) -> Iterator[None]:
    """Turn what pika raises into errors of ours."""
    try:
        yield
    except _FOREIGN as error:
        raise translate(error, parameters) from error


def _reason(error: BaseException) -> str:
    """Return the innermost of the errors that pika wraps into one another."""
    seen = error
    while True:
        inner = next((one for one in seen.args if isinstance(one, BaseException)), None)
        inner = inner or getattr(seen, "exception", None)
        if inner is None and getattr(seen, "exceptions", None):
            inner = seen.exceptions[-1]  # pyright: ignore[reportAttributeAccessIssue] (pika's own)
        if inner is None:
            break
        seen = inner
    if isinstance(seen, gaierror):
        return f"its host is not known: {seen.strerror}"
    return str(seen) or type(seen).__name__
