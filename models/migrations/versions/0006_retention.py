"""Holds on sessions, and what became of those that retention deleted.

Revision: 0006; follows: 0005; made: 2026-11-21 21:00:00
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "session_hold",
        sa.Column("grid_uuid", sa.Uuid(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("held_by", sa.String(), nullable=False),
        sa.Column("held_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["grid_uuid"], ["grid.uuid"], name=op.f("fk_session_hold_grid_uuid_grid")
        ),
        sa.PrimaryKeyConstraint("grid_uuid", name=op.f("pk_session_hold")),
    )
    op.create_table(
        "session_removal",
        sa.Column("grid_uuid", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("archive", sa.String(), nullable=True),
        sa.Column("archive_sha256", sa.String(), nullable=True),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("grid_uuid", name=op.f("pk_session_removal")),
    )
    op.create_index(op.f("ix_session_removal_ended_at"), "session_removal", ["ended_at"])
    op.create_table(
        "session_restore",
        sa.Column("grid_uuid", sa.Uuid(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("first_seq", sa.BigInteger(), nullable=False),
        sa.Column("member", sa.Integer(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("grid_uuid", name=op.f("pk_session_restore")),
    )
    op.create_index("ix_outbox_message_key", "outbox_message", ["key", "seq"])


def downgrade() -> None:
    """Undo."""
    op.drop_index("ix_outbox_message_key", "outbox_message")
    op.drop_table("session_restore")
    op.drop_table("session_removal")
    op.drop_table("session_hold")
