"""Find plain tables in a statement: those that get no conditions of mapped classes."""

from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy import Delete, Select, Table, Update
from sqlalchemy.sql import visitors
from sqlalchemy.sql.schema import Column
from sqlalchemy.sql.selectable import SelectBase


def plain_tables(statement: Any) -> set[Table]:
    """Return the tables that a statement asks without their mapped classes.

    A plain column of a table that the same query asks by its class is covered by that; so is one
    in the conditions of a query within, which then speaks of the query around it.
    """
    if isinstance(statement, Update | Delete) and not _is_mapped(statement.table):
        return {statement.table} if isinstance(statement.table, Table) else set()
    queries = [one for one in visitors.iterate(statement) if isinstance(one, Select)]
    mapped_in = [_tables(_leaves(_all_parts(query)), mapped=True) for query in queries]
    mapped = set[Table]().union(*mapped_in)
    found: set[Table] = set()
    for query, known in zip(queries, mapped_in, strict=True):
        found |= _tables(_leaves(_sources(query)), mapped=False) - known
        found |= _tables(_leaves(_all_parts(query)), mapped=False) - mapped
    return found


def _is_mapped(element: Any) -> bool:
    return "parententity" in getattr(element, "_annotations", ())


def _sources(query: Select[Any]) -> list[Any]:
    """Return what a query asks for, and where it looks for it."""
    joined = [join[0] for join in query._setup_joins]  # noqa: SLF001 (SQLAlchemy has no other way)
    return [*query._raw_columns, *query._from_obj, *joined]  # noqa: SLF001 (as above)


def _all_parts(query: Select[Any]) -> list[Any]:
    conditions = [*query._where_criteria, *query._having_criteria]  # noqa: SLF001 (as above)
    order = [*query._order_by_clauses, *query._group_by_clauses]  # noqa: SLF001 (as above)
    return [*_sources(query), *conditions, *order]


def _leaves(parts: Iterable[Any]) -> Iterator[Any]:
    """Yield columns and tables, but not those of queries within, which are looked at alone."""
    waiting = list(parts)
    while waiting:
        element = waiting.pop()
        if isinstance(element, Column | Table):
            yield element
        elif not isinstance(element, SelectBase):
            waiting += element.get_children()


def _tables(leaves: Iterable[Any], *, mapped: bool) -> set[Table]:
    tables: set[Table] = set()
    for leaf in leaves:
        table = leaf.table if isinstance(leaf, Column) else leaf
        if _is_mapped(leaf) == mapped and isinstance(table, Table):
            tables.add(table._deannotate() if _is_mapped(table) else table)  # noqa: SLF001 (as above)
    return tables
