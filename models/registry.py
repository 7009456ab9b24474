"""Every table of the application: importing this module makes the metadata whole."""

from sqlmodel import SQLModel

from models import answers, audit, deliveries, drain, inbox, outbox
from models.access import tables as access_tables
from models.cryoem import decision_tables, processing_tables, tables, weight_tables
from models.cryoem.instructions import tables as instruction_tables
from models.retention import tables as retention_tables
from models.visibility import owners

_MODULES = (
    access_tables,
    answers,
    audit,
    deliveries,
    drain,
    inbox,
    outbox,
    owners,
    decision_tables,
    instruction_tables,
    processing_tables,
    retention_tables,
    tables,
    weight_tables,
)


def all_tables() -> list[type[SQLModel]]:
    """Return the table classes of every domain."""
    return [
        value
        for module in _MODULES
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, SQLModel)
        and value.model_config.get("table")
        and value.__module__ == module.__name__
    ]
