"""Holes and micrographs of a grid in the orders in which their pages are read.

Revision: 0010; follows: 0009; made: 2026-11-22 04:50:00
"""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_INDEXES = (
    ("ix_hole_grid_uuid_uuid", "hole", ["grid_uuid", "uuid"]),
    ("ix_micrograph_grid_uuid_uuid", "micrograph", ["grid_uuid", "uuid"]),
    ("ix_micrograph_grid_uuid_stem", "micrograph", ["grid_uuid", "stem"]),
)


def upgrade() -> None:
    """Apply."""
    for name, table, columns in _INDEXES:
        op.create_index(name, table, columns)


def downgrade() -> None:
    """Undo."""
    for name, table, _ in _INDEXES:
        op.drop_index(name, table)
