"""All lists of entities, in one router; it goes before those that take an id in the same place."""

from fastapi import APIRouter

from api.smartem import acquisition_lists, atlas_lists, hole_lists, square_lists

router = APIRouter()
for _room in (acquisition_lists, atlas_lists, square_lists, hole_lists):
    router.include_router(_room.router)
