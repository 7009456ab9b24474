"""Users, tokens, keys, organisations and the audit trail.

Revision: 0004; follows: 0003; made: 2026-11-21 21:00:00
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None




def _json(name: str) -> sa.Column:
    kind = sa.JSON(none_as_null=True).with_variant(
        postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), "postgresql"
    )
    return sa.Column(name, kind, nullable=True)


def _text(name: str, *, nullable: bool = False) -> sa.Column:
    return sa.Column(name, sa.String(), nullable=nullable)


def _time(name: str, *, nullable: bool = False) -> sa.Column:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def upgrade() -> None:
    """Apply."""
    _create_users()
    _create_machines()


def downgrade() -> None:
    """Undo."""
    for table in ("api_key", "machine_client", "refresh_token", "login", "access_user"):
        op.drop_table(table)


def _create_users() -> None:
    op.create_table(
        "access_user",
        _text("role"),
        _time("created_at"),
        sa.Column("uuid", sa.Uuid(), nullable=False),
        _text("name"),
        _text("password_hash"),
        _json("organisations"),
        _time("password_changed_at"),
        _time("last_login_at", nullable=True),
        _time("disabled_at", nullable=True),
        sa.PrimaryKeyConstraint("uuid", name=op.f("pk_access_user")),
        sa.UniqueConstraint("name", name=op.f("uq_access_user_name")),
    )
    op.create_table(
        "login",
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column("user_uuid", sa.Uuid(), nullable=False),
        _time("created_at"),
        _time("expires_at"),
        _time("revoked_at", nullable=True),
        _text("revoked_for", nullable=True),
        sa.ForeignKeyConstraint(
            ["user_uuid"], ["access_user.uuid"], name=op.f("fk_login_user_uuid_access_user")
        ),
        sa.PrimaryKeyConstraint("uuid", name=op.f("pk_login")),
    )
    op.create_index("ix_login_user_uuid", "login", ["user_uuid"], unique=False)
    op.create_index("ix_login_expires_at", "login", ["expires_at"], unique=False)
    op.create_table(
        "refresh_token",
        _text("token_hash"),
        sa.Column("login_uuid", sa.Uuid(), nullable=False),
        _time("issued_at"),
        _time("used_at", nullable=True),
        sa.ForeignKeyConstraint(
            ["login_uuid"], ["login.uuid"], name=op.f("fk_refresh_token_login_uuid_login")
        ),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_refresh_token")),
    )
    op.create_index("ix_refresh_token_login_uuid", "refresh_token", ["login_uuid"], unique=False)


def _create_machines() -> None:
    op.create_table(
        "machine_client",
        _text("role"),
        _time("created_at"),
        _text("name"),
        _text("secret_hash"),
        _json("scopes"),
        _json("organisations"),
        _time("last_used_at", nullable=True),
        _time("disabled_at", nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_machine_client")),
    )
    op.create_table(
        "api_key",
        _text("role"),
        _time("created_at"),
        _text("prefix"),
        _text("key_hash"),
        _text("name"),
        _json("scopes"),
        _json("organisations"),
        _text("created_by"),
        _time("expires_at", nullable=True),
        _time("last_used_at", nullable=True),
        _time("revoked_at", nullable=True),
        sa.PrimaryKeyConstraint("prefix", name=op.f("pk_api_key")),
        sa.UniqueConstraint("key_hash", name=op.f("uq_api_key_key_hash")),
    )
