"""Agents' sessions, instructions, acknowledgements and logs, and what pages are shown live.

Revision: 0005; follows: 0004; made: 2026-11-21 21:00:00
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def _json(name: str, *, nullable: bool) -> sa.Column:
    kind = sa.JSON(none_as_null=True).with_variant(
        postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), "postgresql"
    )
    return sa.Column(name, kind, nullable=nullable)


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "agent_session",
        sa.Column("session_id", sa.String(), nullable=False),
        sa.Column("agent_id", sa.String(), nullable=False),
        sa.Column("acquisition_uuid", sa.Uuid(), nullable=True),
        sa.Column("grid_uuid", sa.Uuid(), nullable=True),
        sa.Column("name", sa.String(), nullable=True),
        sa.Column("description", sa.String(), nullable=True),
        _json("experimental_parameters", nullable=True),
        sa.Column("mode", sa.String(), nullable=False),
        sa.Column("square_forward", sa.Float(), nullable=False),
        sa.Column("square_skip", sa.Float(), nullable=False),
        sa.Column("hole_forward", sa.Float(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("last_sequence", sa.BigInteger(), nullable=False),
        sa.Column("connection_id", sa.String(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_activity_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["acquisition_uuid"],
            ["acquisition.uuid"],
            name=op.f("fk_agent_session_acquisition_uuid_acquisition"),
        ),
        sa.ForeignKeyConstraint(
            ["grid_uuid"], ["grid.uuid"], name=op.f("fk_agent_session_grid_uuid_grid")
        ),
        sa.PrimaryKeyConstraint("session_id", name=op.f("pk_agent_session")),
    )
    op.create_index(
        op.f("ix_agent_session_acquisition_uuid"),
        "agent_session",
        ["acquisition_uuid"],
        unique=False,
    )
    op.create_index(op.f("ix_agent_session_agent_id"), "agent_session", ["agent_id"], unique=False)
    op.create_index(
        op.f("ix_agent_session_created_at"), "agent_session", ["created_at"], unique=False
    )
    op.create_index(
        op.f("ix_agent_session_grid_uuid"), "agent_session", ["grid_uuid"], unique=False
    )
    op.create_table(
        "agent_connection",
        sa.Column("connection_id", sa.String(), nullable=False),
        sa.Column("session_id", sa.String(), nullable=False),
        sa.Column("agent_id", sa.String(), nullable=False),
        sa.Column("connection_type", sa.String(), nullable=False),
        _json("client_info", nullable=True),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_heartbeat_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("close_reason", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["session_id"],
            ["agent_session.session_id"],
            name=op.f("fk_agent_connection_session_id_agent_session"),
        ),
        sa.PrimaryKeyConstraint("connection_id", name=op.f("pk_agent_connection")),
    )
    op.create_index(
        "ix_agent_connection_created_at", "agent_connection", ["created_at"], unique=False
    )
    op.create_index(
        op.f("ix_agent_connection_session_id"), "agent_connection", ["session_id"], unique=False
    )
    op.create_index(
        "ix_agent_connection_status",
        "agent_connection",
        ["status", "last_heartbeat_at"],
        unique=False,
    )
    op.create_table(
        "instruction",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("session_id", sa.String(), nullable=False),
        sa.Column("agent_id", sa.String(), nullable=False),
        sa.Column("instruction_type", sa.String(), nullable=False),
        _json("payload", nullable=False),
        sa.Column("sequence_number", sa.BigInteger(), nullable=False),
        sa.Column("priority", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("held", sa.String(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("claimed_by", sa.String(), nullable=True),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("sends", sa.Integer(), nullable=False),
        sa.Column("next_send_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("acknowledged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_because", sa.String(), nullable=True),
        sa.Column("judged_by", sa.String(), nullable=True),
        sa.Column("judged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decision_id", sa.Uuid(), nullable=True),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("threshold", sa.Float(), nullable=True),
        _json("evidence", nullable=False),
        _json("extra", nullable=True),
        sa.Column("flow_run_id", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["session_id"],
            ["agent_session.session_id"],
            name=op.f("fk_instruction_session_id_agent_session"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_instruction")),
    )
    op.create_index("ix_instruction_created_at", "instruction", ["created_at", "id"], unique=False)
    op.create_index(
        op.f("ix_instruction_decision_id"), "instruction", ["decision_id"], unique=False
    )
    op.create_index(
        "ix_instruction_open",
        "instruction",
        ["session_id", "status"],
        unique=False,
        postgresql_where=sa.text("status IN ('pending', 'sent', 'received')"),
        sqlite_where=sa.text("status IN ('pending', 'sent', 'received')"),
    )
    op.create_index(
        "uq_instruction_session_id_sequence_number",
        "instruction",
        ["session_id", "sequence_number"],
        unique=True,
    )
    op.create_table(
        "instruction_ack",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("instruction_id", sa.Uuid(), nullable=False),
        sa.Column("session_id", sa.String(), nullable=False),
        sa.Column("agent_id", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("accepted", sa.Boolean(), nullable=False),
        sa.Column("result", sa.String(), nullable=True),
        sa.Column("error_message", sa.String(), nullable=True),
        sa.Column("processing_time_ms", sa.BigInteger(), nullable=True),
        sa.Column("processed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["instruction_id"],
            ["instruction.id"],
            name=op.f("fk_instruction_ack_instruction_id_instruction"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_instruction_ack")),
    )
    op.create_index(
        op.f("ix_instruction_ack_created_at"), "instruction_ack", ["created_at"], unique=False
    )
    op.create_index(
        op.f("ix_instruction_ack_instruction_id"),
        "instruction_ack",
        ["instruction_id"],
        unique=False,
    )
    op.create_table(
        "agent_log",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("session_id", sa.String(), nullable=False),
        sa.Column("agent_id", sa.String(), nullable=False),
        sa.Column("timestamp", sa.DateTime(timezone=True), nullable=False),
        sa.Column("level", sa.String(), nullable=False),
        sa.Column("logger_name", sa.String(), nullable=False),
        sa.Column("message", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agent_log")),
    )
    op.create_index(op.f("ix_agent_log_created_at"), "agent_log", ["created_at"], unique=False)
    op.create_index("ix_agent_log_session_id", "agent_log", ["session_id", "id"], unique=False)
    op.create_table(
        "live_event",
        sa.Column(
            "seq",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("event_type", sa.String(), nullable=False),
        sa.Column("agent_id", sa.String(), nullable=True),
        sa.Column("session_id", sa.String(), nullable=True),
        sa.Column("acquisition_uuid", sa.Uuid(), nullable=True),
        _json("data", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_live_event")),
    )
    op.create_index(op.f("ix_live_event_created_at"), "live_event", ["created_at"], unique=False)


def downgrade() -> None:
    """Undo."""
    op.drop_index(op.f("ix_live_event_created_at"), table_name="live_event")
    op.drop_table("live_event")
    op.drop_index("ix_agent_log_session_id", table_name="agent_log")
    op.drop_index(op.f("ix_agent_log_created_at"), table_name="agent_log")
    op.drop_table("agent_log")
    op.drop_index(op.f("ix_instruction_ack_instruction_id"), table_name="instruction_ack")
    op.drop_index(op.f("ix_instruction_ack_created_at"), table_name="instruction_ack")
    op.drop_table("instruction_ack")
    op.drop_index("uq_instruction_session_id_sequence_number", table_name="instruction")
    op.drop_index(
        "ix_instruction_open",
        table_name="instruction",
        postgresql_where=sa.text("status IN ('pending', 'sent', 'received')"),
        sqlite_where=sa.text("status IN ('pending', 'sent', 'received')"),
    )
    op.drop_index(op.f("ix_instruction_decision_id"), table_name="instruction")
    op.drop_index("ix_instruction_created_at", table_name="instruction")
    op.drop_table("instruction")
    op.drop_index("ix_agent_connection_status", table_name="agent_connection")
    op.drop_index(op.f("ix_agent_connection_session_id"), table_name="agent_connection")
    op.drop_index("ix_agent_connection_created_at", table_name="agent_connection")
    op.drop_table("agent_connection")
    op.drop_index(op.f("ix_agent_session_grid_uuid"), table_name="agent_session")
    op.drop_index(op.f("ix_agent_session_created_at"), table_name="agent_session")
    op.drop_index(op.f("ix_agent_session_agent_id"), table_name="agent_session")
    op.drop_index(op.f("ix_agent_session_acquisition_uuid"), table_name="agent_session")
    op.drop_table("agent_session")
