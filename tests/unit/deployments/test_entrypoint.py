"""From entrypoints to flows."""

import pytest

from core.errors import ConfigurationError
from deployments.entrypoint import load_flow
from tests.integration.prefect import sample_flows


@pytest.mark.parametrize(
    "entrypoint",
    [
        # as in prefect.yaml
        "tests/integration/prefect/sample_flows.py:note",
        # as modules are named
        "tests.integration.prefect.sample_flows:note",
    ],
)
def test_a_flow_is_the_one_of_the_imported_module(entrypoint: str) -> None:
    assert load_flow(entrypoint) is sample_flows.note


@pytest.mark.parametrize(
    ("entrypoint", "reason"),
    [
        ("tests/integration/prefect/sample_flows.py", "no ':function'"),
        ("tests/integration/prefect/no_such_file.py:note", "no_such_file"),
        ("tests/integration/prefect/sample_flows.py:nothing", "nothing"),
        # would block every other run on the loop
        ("tests/integration/prefect/sample_flows.py:not_async", "not an async flow"),
        # a function, but no flow
        ("tests/support.py:wait_for", "not an async flow"),
    ],
)
def test_what_is_no_async_flow_is_refused_with_the_reason(entrypoint: str, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        load_flow(entrypoint)
