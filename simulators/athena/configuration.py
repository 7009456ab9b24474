"""The selection of plugins, and the service itself."""

from http import HTTPStatus
from typing import Annotated
from uuid import uuid4

from fastapi import APIRouter, Depends, Response

from models.athena import DecisionServiceConfiguration, SmartPluginConfiguration
from simulators.athena.state import Sim
from simulators.athena.wire import API, answer, body_of, not_found, nothing, one, rejected

router = APIRouter(prefix=API)


@router.get("/Configuration")
async def get_configuration(sim: Sim) -> Response:
    """Return the selection of plugins."""
    return answer(body_of(_current(sim)))


@router.post("/Configuration")
async def post_configuration(
    sim: Sim,
    configuration: Annotated[
        DecisionServiceConfiguration, Depends(one(DecisionServiceConfiguration))
    ],
) -> Response:
    """Replace the selection of plugins; not supported is one without a name, or named twice."""
    now = sim.clock()
    plugins = tuple(
        plugin.model_copy(update={"timestamp": plugin.timestamp or now})
        for plugin in configuration.smart_plugin_configurations or ()
    )
    names = [plugin.plugin_name for plugin in plugins]
    if not all(names) or len(set(names)) < len(names):
        raise rejected("Each plugin needs a name of its own.")
    stored = DecisionServiceConfiguration(
        id=configuration.id or uuid4(),
        smart_plugin_configurations=plugins,
        timestamp=configuration.timestamp or now,
    )
    _replace(sim, stored)
    return answer(body_of(stored), HTTPStatus.CREATED)


@router.delete("/Configuration")
async def delete_configuration(sim: Sim) -> Response:
    """Delete the selection of plugins."""
    _current(sim)
    with sim.store.commit():
        sim.store.delete("configuration")
    return nothing()


@router.patch("/Configuration/Plugin")
async def patch_plugin(
    sim: Sim, plugin: Annotated[SmartPluginConfiguration, Depends(one(SmartPluginConfiguration))]
) -> Response:
    """Change whether one plugin is custom."""
    current = _current(sim)
    plugins = current.smart_plugin_configurations or ()
    if plugin.plugin_name not in {known.plugin_name for known in plugins}:
        raise not_found(f"No plugin {plugin.plugin_name!r} has been registered.")
    changed = plugin.model_copy(update={"timestamp": plugin.timestamp or sim.clock()})
    _replace(
        sim,
        current.model_copy(
            update={
                "smart_plugin_configurations": tuple(
                    changed if known.plugin_name == plugin.plugin_name else known
                    for known in plugins
                )
            }
        ),
    )
    return answer(body_of(changed))


def _current(sim: Sim) -> DecisionServiceConfiguration:
    found = sim.store.bodies("configuration", latest=True)
    if not found:
        raise not_found("There is no configuration.")
    return DecisionServiceConfiguration.model_validate_json(found[0])


def _replace(sim: Sim, configuration: DecisionServiceConfiguration) -> None:
    with sim.store.commit():
        sim.store.delete("configuration")
        sim.store.insert("configuration", [{"body": body_of(configuration)}])


@router.get("/Athena/Status")
async def check_status() -> Response:
    """Say that all is well; the contract leaves the form open."""
    return answer('"simulated"')


@router.get("/Version")
async def version() -> Response:
    """Return a version that no real service has."""
    return answer('"simulator"')
