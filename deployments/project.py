"""prefect.yaml, read: the single declaration of deployments, schedules and triggers.

Prefect's own reader of this file belongs to its command line (`prefect deploy`), takes
seconds and prints; this one knows the parts of the format that we use and refuses others.
"""

from pathlib import Path
from typing import Any

import yaml
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.objects import ConcurrencyLimitStrategy
from prefect.client.schemas.schedules import construct_schedule
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core.errors import ConfigurationError


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PoolReference(_Part):
    """The work pool that a deployment's runs go to."""

    name: str


class ScheduleDefinition(_Part):
    """When runs are created by themselves."""

    interval: float | None = None
    cron: str | None = None
    timezone: str | None = None
    active: bool = True
    parameters: dict[str, Any] = Field(default_factory=dict)
    slug: str | None = None

    def for_prefect(self) -> DeploymentScheduleCreate:
        """Return it as Prefect's API takes it."""
        return DeploymentScheduleCreate(
            schedule=construct_schedule(
                interval=self.interval, cron=self.cron, timezone=self.timezone
            ),
            active=self.active,
            parameters=self.parameters,
            slug=self.slug,
        )


class ConcurrencyDefinition(_Part):
    """How many runs at once, and what becomes of more."""

    limit: int = Field(ge=1)
    collision_strategy: ConcurrencyLimitStrategy = ConcurrencyLimitStrategy.ENQUEUE


class DeploymentDefinition(_Part):
    """One entry of `deployments`."""

    name: str
    entrypoint: str
    work_pool: PoolReference
    description: str
    tags: tuple[str, ...] = ()
    parameters: dict[str, Any] = Field(default_factory=dict)
    schedules: tuple[ScheduleDefinition, ...] = ()
    #: As Prefect has them; checked by Prefect's own models when they are registered.
    triggers: tuple[dict[str, Any], ...] = ()
    concurrency_limit: ConcurrencyDefinition | None = None


class _Project(BaseModel):
    """The file; other keys than `deployments` concern Prefect's command line."""

    deployments: tuple[DeploymentDefinition, ...]


def read_project(path: Path) -> tuple[DeploymentDefinition, ...]:
    """Return what a prefect.yaml declares.

    Raises:
        ConfigurationError: The file is missing, or says what we do not understand.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        return _Project.model_validate(content).deployments
    except OSError as exc:
        raise ConfigurationError(f"Cannot read {path}: {exc.strerror}") from exc
    except (yaml.YAMLError, ValidationError) as exc:
        raise ConfigurationError(f"{path} is not as we expect it: {exc}") from exc
