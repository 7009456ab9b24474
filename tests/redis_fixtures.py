"""Redis for tests: `ATHANOR_TEST_REDIS_URL`, else 127.0.0.1:6379; a database for each test."""

import os
from collections.abc import Iterator
from typing import Final

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as NoRedis

_LOCAL: Final = "redis://127.0.0.1:6379"
_HOW_TO_GET_IT: Final = "needs Redis: set ATHANOR_TEST_REDIS_URL, or start a server on 127.0.0.1"

#: Says that a database is taken by a test; goes by itself if the test dies.
_CLAIM: Final = "athanor_test_claim"
_CLAIM_SECONDS: Final = 900


@pytest.fixture
def redis_url() -> Iterator[str]:
    """The URL of an empty database that no other test uses."""
    server = os.environ.get("ATHANOR_TEST_REDIS_URL", _LOCAL).rstrip("/")
    try:
        # From the last on: people use the first.
        for number in range(15, 0, -1):
            url = f"{server}/{number}"
            with Redis.from_url(url) as redis:
                if not redis.set(_CLAIM, "taken", nx=True, ex=_CLAIM_SECONDS):
                    continue
                if redis.dbsize() != 1:
                    redis.delete(_CLAIM)
                    continue
                yield url
                redis.flushdb()
                return
    except NoRedis:
        if os.environ.get("CI") == "true":
            pytest.fail(_HOW_TO_GET_IT)
        pytest.skip(_HOW_TO_GET_IT)
    pytest.fail(f"no database of {server} is empty")
