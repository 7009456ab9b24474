"""The Prefect block that holds how to reach an Athena Decision Service."""

from typing import ClassVar

from prefect.blocks.core import Block
from pydantic import Field, HttpUrl, SecretStr

from blocks.athena.client import AthenaClient


class AthenaDecisionService(Block):
    """Where an Athena Decision Service is and how to reach it.

    Example:
        Load a stored block and ask the service for its sessions:
        ```python
        from blocks.athena import AthenaDecisionService

        service = AthenaDecisionService.load("BLOCK_NAME")
        async with service.get_client() as athena:
            sessions = await athena.find_sessions()
        ```
    """

    _block_type_name: ClassVar[str | None] = "Athena Decision Service"
    _block_type_slug: ClassVar[str | None] = "athena-decision-service"
    _description: ClassVar[str | None] = (
        "Address and credentials of an Athena Decision Service, which tells a cryo-EM "
        "microscope what to acquire."
    )
    _documentation_url: ClassVar[HttpUrl | None] = HttpUrl(
        "https://docs.prefect.io/v3/concepts/blocks"
    )

    base_url: str = Field(
        default="http://127.0.0.1:8378",
        title="Base URL",
        description="Address of the service, without /api/v1.",
    )
    token: SecretStr | None = Field(
        default=None, description="Bearer token, where the service stands behind one."
    )
    verify_tls: bool = Field(
        default=True, title="Verify TLS", description="Check the service's TLS certificate."
    )
    connect_timeout: float = Field(
        default=5.0, gt=0, description="Seconds to wait for a connection."
    )
    read_timeout: float = Field(default=30.0, gt=0, description="Seconds to wait for an answer.")

    def get_client(self) -> AthenaClient:
        """Return a client that the caller closes."""
        return AthenaClient(
            self.base_url,
            self.token,
            verify=self.verify_tls,
            connect_timeout=self.connect_timeout,
            read_timeout=self.read_timeout,
        )
