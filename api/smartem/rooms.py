"""All routes that SmartEM's clients know."""

from fastapi import APIRouter

from api.smartem import (
    acquisitions,
    atlases,
    feedback,
    grids,
    holes,
    images,
    latent,
    lists,
    micrographs,
    models,
    predictions,
    squares,
    weights,
)

ROUTERS: tuple[APIRouter, ...] = tuple(
    room.router
    for room in (
        lists,
        *(acquisitions, grids, atlases, squares, holes, micrographs),
        *(models, predictions, latent, weights, feedback, images),
    )
)
