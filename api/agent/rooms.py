"""The routers of the agent channel."""

from fastapi import APIRouter

from api.agent import channel, debug, instructions, sessions
from core.instruction_settings import InstructionSettings


def routers(settings: InstructionSettings) -> tuple[APIRouter, ...]:
    """Return what is offered; routes for debugging only where they are switched on."""
    always = (sessions.router, channel.router, instructions.router)
    return (*always, debug.router) if settings.debug_routes else always
