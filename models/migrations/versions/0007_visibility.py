"""Whose a session is, who sent a message, and who changed what.

Revision: 0007; follows: 0006; made: 2026-11-21 21:10:00
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_JSON = sa.JSON(none_as_null=True).with_variant(
    postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), "postgresql"
)
_SEQUENCE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "session_owner",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("uuid", sa.Uuid(), nullable=True),
        sa.Column("organisation", sa.String(), nullable=False),
        sa.Column("claimed_by", sa.String(), nullable=False),
        sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_session_owner")),
        sa.UniqueConstraint("uuid", name=op.f("uq_session_owner_uuid")),
    )
    op.create_index("ix_session_owner_organisation", "session_owner", ["organisation"])
    op.add_column("inbox_message", sa.Column("organisation", sa.String(), nullable=True))
    op.create_table(
        "audit_entry",
        sa.Column("seq", _SEQUENCE, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("request_id", sa.String(), nullable=True),
        sa.Column("caller", sa.String(), nullable=False),
        sa.Column("caller_kind", sa.String(), nullable=False),
        sa.Column("organisation", sa.String(), nullable=True),
        sa.Column("address", sa.String(), nullable=True),
        sa.Column("method", sa.String(), nullable=True),
        sa.Column("route", sa.String(), nullable=True),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("entity", sa.String(), nullable=True),
        sa.Column("entity_id", sa.String(), nullable=True),
        sa.Column("before", _JSON, nullable=True),
        sa.Column("after", _JSON, nullable=True),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_audit_entry")),
    )
    op.create_index("ix_audit_entry_caller", "audit_entry", ["caller", "seq"])
    op.create_index("ix_audit_entry_entity_id", "audit_entry", ["entity_id", "seq"])
    op.create_index("ix_audit_entry_at", "audit_entry", ["at"])
    _refuse_updates()


def downgrade() -> None:
    """Undo."""
    op.drop_table("audit_entry")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION audit_entry_stays()")
    op.drop_column("inbox_message", "organisation")
    op.drop_table("session_owner")


def _refuse_updates() -> None:
    """Have the database itself refuse to change what was written down."""
    if op.get_bind().dialect.name == "sqlite":
        op.execute(
            "CREATE TRIGGER audit_entry_stays BEFORE UPDATE ON audit_entry "
            "BEGIN SELECT RAISE(ABORT, 'the audit is never changed'); END"
        )
        return
    op.execute(
        "CREATE FUNCTION audit_entry_stays() RETURNS trigger LANGUAGE plpgsql AS "
        "$$BEGIN RAISE EXCEPTION 'the audit is never changed'; END$$"
    )
    op.execute(
        "CREATE TRIGGER audit_entry_stays BEFORE UPDATE ON audit_entry "
        "FOR EACH ROW EXECUTE FUNCTION audit_entry_stays()"
    )
