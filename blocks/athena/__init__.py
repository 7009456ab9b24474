"""The Athena Decision Service: Prefect block and typed client."""

from blocks.athena.block import AthenaDecisionService
from blocks.athena.client import AthenaClient

__all__ = ["AthenaClient", "AthenaDecisionService"]
