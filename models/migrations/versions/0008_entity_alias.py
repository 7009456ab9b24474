"""Other uuids of entities: those that follow from EPU's ids, and those that clients chose.

Revision: 0008; follows: 0007; made: 2026-11-22 00:30:00
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "entity_alias",
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column("target_uuid", sa.Uuid(), nullable=False),
        sa.Column("entity", sa.String(), nullable=False),
        sa.Column("grid_uuid", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["grid_uuid"], ["grid.uuid"], name=op.f("fk_entity_alias_grid_uuid_grid")
        ),
        sa.PrimaryKeyConstraint("uuid", name=op.f("pk_entity_alias")),
    )
    op.create_index("ix_entity_alias_grid_uuid", "entity_alias", ["grid_uuid"])


def downgrade() -> None:
    """Undo."""
    op.drop_table("entity_alias")
