"""A wrong URL is said in a sentence that shows no password."""

import pytest

from core.errors import BrokerUnavailable, ConfigurationError
from messaging.rabbitmq.failures import parameters_of, translate


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost",
        "http://user:s3cr3t@broker:5672/",
        "amqp:///x",
        "amqp://user:s3cr3t@broker:port/",
        "amqp://user:s3cr3t@broker:5672/?heartbeat=often",
    ],
)
def test_what_is_no_amqp_url_is_said(url: str) -> None:
    with pytest.raises(ConfigurationError, match="ATHANOR_RABBITMQ__URL") as raised:
        parameters_of(url)
    assert "amqp://user:password@host:5672/vhost" in str(raised.value)
    assert "s3cr3t" not in str(raised.value)


def test_a_url_says_where_the_broker_is() -> None:
    parameters = parameters_of("amqp://user:s3cr3t@broker:5673/%2F")
    assert (parameters.host, parameters.port, parameters.virtual_host) == ("broker", 5673, "/")
    error = translate(ConnectionRefusedError("refused"), parameters)
    assert isinstance(error, BrokerUnavailable)
    assert str(error) == "RabbitMQ at broker:5673 does not answer (refused)."
