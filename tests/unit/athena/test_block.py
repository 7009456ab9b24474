"""The block meets Prefect's standard and gives a client made as it says."""

import pytest
from prefect.blocks.core import Block
from prefect.testing.standard_test_suites import BlockStandardTestSuite
from pydantic import SecretStr, ValidationError

from blocks.athena import AthenaClient, AthenaDecisionService


class TestAthenaDecisionService(BlockStandardTestSuite):
    @pytest.fixture
    def block(self) -> type[Block]:
        return AthenaDecisionService

    def test_has_a_valid_image(self, block: type[Block]) -> None:
        """It has no logo: the suite's test would download one."""
        assert block._logo_url is None


def test_the_block_has_the_slug_by_which_it_is_found() -> None:
    assert AthenaDecisionService.get_block_type_slug() == "athena-decision-service"


async def test_the_client_goes_where_the_block_says() -> None:
    block = AthenaDecisionService(base_url="http://athena:1/base", token=SecretStr("s3cr3t"))
    async with block.get_client() as client:
        assert isinstance(client, AthenaClient)
        assert repr(client) == "AthenaClient(URL('http://athena:1/base/'))"


def test_the_token_is_kept_secret_by_prefect() -> None:
    block = AthenaDecisionService(token=SecretStr("s3cr3t"))

    assert "token" in block.model_json_schema()["secret_fields"]
    assert "s3cr3t" not in repr(block)


@pytest.mark.parametrize("field", ["connect_timeout", "read_timeout"])
def test_a_timeout_of_nothing_is_refused(field: str) -> None:
    with pytest.raises(ValidationError, match=field):
        AthenaDecisionService(**{field: 0})
