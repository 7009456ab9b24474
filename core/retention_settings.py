"""Settings of how long what is kept, and of archives."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from core.section import Section


def _age(what: str) -> float | None:
    return Field(
        default=None,
        gt=0,
        le=36_500,
        allow_inf_nan=False,
        description=f"Days to keep {what}, where the policy is custom; else as scientific.",
    )


class RetentionSettings(Section):
    """How long what is kept, and where archives of deleted sessions go."""

    policy: Literal["scientific", "development", "custom"] = Field(
        default="scientific", description="What the daily run goes by; `custom` is set below."
    )
    export_folder: Path | None = Field(
        default=None,
        description="Folder for an archive of each session before it is deleted; unset, none.",
    )
    max_import_bytes: int = Field(
        default=64 * 1024**3,
        ge=1024,
        description="Archives that unpack to more bytes are refused.",
    )
    batch_size: int | None = Field(
        default=None,
        ge=1,
        le=5_000,
        description="Rows deleted in one transaction, where the policy is custom; else 500.",
    )
    connections_days: float | None = _age("silent streams of agents open")
    instructions_days: float | None = _age("instructions with their payload")
    sessions_days: float | None = _age("sessions that are over")
    acknowledgements_days: float | None = _age("what agents said of instructions")
    audit_days: float | None = _age("who changed what")
    messages_days: float | None = _age("messages that are done with")
    history_days: float | None = _age("values that newer ones have replaced")
    logs_days: float | None = _age("agents' logs")
    news_days: float | None = _age("what pages were shown live")
    sign_ins_days: float | None = _age("sign-ins that have run out")
    repeats_days: float | None = _age("what repeats are recognised by")
    runs_days: float | None = _age("Prefect's flow runs")
