"""Settings of the agent channel and of the streams that pages are shown live."""

from typing import Literal

from pydantic import Field, model_validator

from core.section import Section


class InstructionSettings(Section):
    """What agents are told, and how long their answers may take."""

    mode: Literal["dry-run", "semi-auto", "auto"] = Field(
        default="dry-run",
        description="What becomes of a new session's instructions: recorded only, sent once a "
        "person approves, or sent.",
    )
    square_forward: float = Field(
        default=0.8, ge=0, le=1, description="A square predicted so well or better goes forward."
    )
    square_skip: float = Field(
        default=0.3, ge=0, le=1, description="A square predicted so badly or worse is skipped."
    )
    hole_forward: float = Field(
        default=0.8, ge=0, le=1, description="A hole predicted so well or better goes forward."
    )
    expire_seconds: float = Field(
        default=3_600.0, gt=0, description="An instruction not acknowledged for so long expires."
    )
    outcome_seconds: float = Field(
        default=600.0,
        ge=0,
        description="After that, one that was received waits so long for its outcome.",
    )
    ack_seconds: float = Field(
        default=30.0,
        gt=0,
        description="An instruction not acknowledged for so long is sent again; doubled each time.",
    )
    resends: int = Field(default=3, ge=0, description="How often it is sent again.")
    offline_seconds: float = Field(
        default=90.0,
        gt=0,
        description="An agent that takes and says nothing for so long is reported as offline.",
    )
    max_log_entries: int = Field(
        default=500, ge=1, description="Most lines of an agent's log in one POST."
    )
    debug_routes: bool = Field(
        default=False, description="Offer /debug/…: sessions and instructions by hand, for tests."
    )

    @model_validator(mode="after")
    def _in_order(self) -> "InstructionSettings":
        if not self.square_skip < self.square_forward:
            raise ValueError("square_skip must be less than square_forward")
        return self


class StreamSettings(Section):
    """Server-sent events: to agents and to pages."""

    heartbeat_seconds: float = Field(
        default=30.0, gt=0, description="Seconds between heartbeats on a stream."
    )
    send_seconds: float = Field(
        default=20.0, gt=0, description="A peer that takes no bytes for so long is dead."
    )
    look_seconds: float = Field(
        default=30.0,
        gt=0,
        description="How often to look for news that no announcement told of, once a process.",
    )
    progress_seconds: float = Field(
        default=1.0, ge=0, description="How often at most the counts of an acquisition are told."
    )
    max_agents: int = Field(
        default=256, ge=1, description="Most streams of agents that one API process serves."
    )
    max_pages: int = Field(
        default=512, ge=1, description="Most streams of pages that one API process serves."
    )
    max_per_caller: int = Field(
        default=256,
        ge=1,
        description="Most streams of one caller, or of one address where nobody is asked.",
    )
    replay_events: int = Field(
        default=1_000, ge=0, description="Most past events that a page which comes back is sent."
    )
