"""All routes that SmartEM's clients know."""

from fastapi import APIRouter

from api.smartem import feedback, lists, models, predictions, weights

ROUTERS: tuple[APIRouter, ...] = tuple(
    room.router for room in (lists, models, predictions, weights, feedback)
)
