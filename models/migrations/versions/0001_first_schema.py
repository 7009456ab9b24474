"""First schema.

Revision: 0001; follows: ; made: 2026-11-21 04:10:25.686233
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "acquisition",
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column("epu_id", sa.String(), nullable=True),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("end_reason", sa.String(), nullable=True),
        sa.Column("storage_path", sa.String(), nullable=True),
        sa.Column("clustering_mode", sa.String(), nullable=True),
        sa.Column("clustering_radius", sa.Float(), nullable=True),
        sa.Column("instrument_model", sa.String(), nullable=True),
        sa.Column("instrument_id", sa.String(), nullable=True),
        sa.Column("computer_name", sa.String(), nullable=True),
        sa.Column("software_version", sa.String(), nullable=True),
        sa.Column("path", sa.String(), nullable=True),
        sa.Column("observed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("life_seq", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("uuid", name=op.f("pk_acquisition")),
    )
    op.create_table(
        "answer",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("body", sa.String(), nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_answer")),
    )
    op.create_index("ix_answer_answered_at", "answer", ["answered_at"], unique=False)
    op.create_table(
        "delivery",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("stored_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("digests", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_delivery")),
    )
    op.create_index("ix_delivery_source", "delivery", ["source"], unique=False)
    op.create_table(
        "drain",
        sa.Column("flow", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("holder", sa.String(), nullable=True),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("crashes", sa.Integer(), nullable=False),
        sa.Column("careful", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("flow", "key", name=op.f("pk_drain")),
    )
    op.create_table(
        "inbox_message",
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("available_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("claimed_by", sa.String(), nullable=True),
        sa.Column("lease_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("error", sa.String(), nullable=True),
        sa.Column("flow_run_id", sa.String(), nullable=True),
        sa.Column(
            "seq",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("message_id", sa.String(), nullable=True),
        sa.Column("domain", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("flow", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("payload", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("waiting_for", sa.String(), nullable=True),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_inbox_message")),
        sa.UniqueConstraint("id", name=op.f("uq_inbox_message_id")),
    )
    op.create_index("ix_inbox_message_key", "inbox_message", ["key", "seq"], unique=False)
    for name, columns, condition in (
        ("ix_inbox_message_open", ["state", "seq"], "state <> 'done'"),
        ("ix_inbox_message_waiting_for", ["waiting_for"], "state = 'waiting'"),
        ("ix_inbox_message_work", ["flow", "key", "seq"], "state IN ('pending', 'claimed')"),
    ):
        op.create_index(
            name,
            "inbox_message",
            columns,
            unique=False,
            postgresql_where=sa.text(condition),
            sqlite_where=sa.text(condition),
        )
    op.create_table(
        "outbox_message",
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("available_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("claimed_by", sa.String(), nullable=True),
        sa.Column("lease_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("error", sa.String(), nullable=True),
        sa.Column("flow_run_id", sa.String(), nullable=True),
        sa.Column(
            "seq",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("domain", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("flow", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column(
            "payload",
            sa.JSON(none_as_null=True).with_variant(
                postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), "postgresql"
            ),
            nullable=False,
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("caused_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_outbox_message")),
        sa.UniqueConstraint("id", name=op.f("uq_outbox_message_id")),
    )
    unfinished = sa.text("state <> 'done' AND state <> 'superseded'")
    op.create_index(
        "ix_outbox_message_open",
        "outbox_message",
        ["state", "seq"],
        unique=False,
        postgresql_where=unfinished,
        sqlite_where=unfinished,
    )
    op.create_index(
        "ix_outbox_message_subject", "outbox_message", ["subject", "state"], unique=False
    )
    op.create_index(
        "ix_outbox_message_work", "outbox_message", ["flow", "key", "state", "seq"], unique=False
    )
    op.create_table(
        "prediction_model",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("description", sa.String(), nullable=True),
        sa.Column("level", sa.String(), nullable=True),
        sa.Column("first_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_prediction_model")),
    )
    op.create_table(
        "quality_metric",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("description", sa.String(), nullable=False),
        sa.Column("unit", sa.String(), nullable=True),
        sa.Column("larger_is_better", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_quality_metric")),
    )
    op.create_table(
        "grid",
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column("acquisition_uuid", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("grid_type", sa.String(), nullable=True),
        sa.Column("autoloader_slot", sa.Integer(), nullable=True),
        sa.Column("atlas_path", sa.String(), nullable=True),
        sa.Column("last_news_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("observed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("squares_listed", sa.Integer(), nullable=True),
        sa.Column("squares_known_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("life_seq", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["acquisition_uuid"],
            ["acquisition.uuid"],
            name=op.f("fk_grid_acquisition_uuid_acquisition"),
        ),
        sa.PrimaryKeyConstraint("uuid", name=op.f("pk_grid")),
    )
    op.create_index(op.f("ix_grid_acquisition_uuid"), "grid", ["acquisition_uuid"], unique=False)
    op.create_index(op.f("ix_grid_last_news_at"), "grid", ["last_news_at"], unique=False)
    op.create_table(
        "athena_area",
        sa.Column("area_uuid", sa.Uuid(), nullable=False),
        sa.Column("grid_uuid", sa.Uuid(), nullable=False),
        sa.Column("area_id", sa.Integer(), nullable=False),
        sa.Column("area_type", sa.String(), nullable=False),
        sa.Column("parent_area_id", sa.Integer(), nullable=True),
        sa.Column("registered_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["grid_uuid"], ["grid.uuid"], name=op.f("fk_athena_area_grid_uuid_grid")
        ),
        sa.PrimaryKeyConstraint("area_uuid", name=op.f("pk_athena_area")),
    )
    op.create_index(
        "ix_athena_area_unregistered", "athena_area", ["grid_uuid", "registered_at"], unique=False
    )
    op.create_index(
        "uq_athena_area_grid_uuid_area_id", "athena_area", ["grid_uuid", "area_id"], unique=True
    )
    op.create_table(
        "athena_session",
        sa.Column("grid_uuid", sa.Uuid(), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("session_name", sa.String(), nullable=False),
        sa.Column("grid_type", sa.String(), nullable=False),
        sa.Column("adopted", sa.Boolean(), nullable=False),
        sa.Column("registered_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("run_number", sa.Integer(), nullable=True),
        sa.Column("run_started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("run_stopped_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("stop_reason", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["grid_uuid"], ["grid.uuid"], name=op.f("fk_athena_session_grid_uuid_grid")
        ),
        sa.PrimaryKeyConstraint("grid_uuid", name=op.f("pk_athena_session")),
        sa.UniqueConstraint("session_id", name=op.f("uq_athena_session_session_id")),
    )
    op.create_table(
        "atlas",
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column("grid_uuid", sa.Uuid(), nullable=False),
        sa.Column("epu_id", sa.String(), nullable=True),
        sa.Column("name", sa.String(), nullable=True),
        sa.Column("acquired_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("storage_folder", sa.String(), nullable=True),
        sa.Column("path", sa.String(), nullable=True),
        sa.Column("observed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("life_seq", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["grid_uuid"], ["grid.uuid"], name=op.f("fk_atlas_grid_uuid_grid")),
        sa.PrimaryKeyConstraint("uuid", name=op.f("pk_atlas")),
        sa.UniqueConstraint("grid_uuid", name=op.f("uq_atlas_grid_uuid")),
    )
    op.create_table(
        "current_prediction",
        sa.Column("target_uuid", sa.Uuid(), nullable=False),
        sa.Column("model_name", sa.String(), nullable=False),
        sa.Column("metric_name", sa.String(), nullable=False),
        sa.Column("grid_uuid", sa.Uuid(), nullable=False),
        sa.Column("level", sa.String(), nullable=False),
        sa.Column("value", sa.Float(), nullable=False),
        sa.Column("message_seq", sa.BigInteger(), nullable=False),
        sa.Column("message_uuid", sa.Uuid(), nullable=False),
        sa.Column("predicted_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint(
            "target_uuid", "model_name", "metric_name", name=op.f("pk_current_prediction")
        ),
    )
    if op.get_bind().dialect.name == "postgresql":
        # Room in each page: a row that changes stays in it, and no index has to be told.
        op.execute("ALTER TABLE current_prediction SET (fillfactor = 50)")
    op.create_index(
        "ix_current_prediction_grid", "current_prediction", ["grid_uuid", "level"], unique=False
    )
    op.create_table(
        "decision",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("grid_uuid", sa.Uuid(), nullable=False),
        sa.Column("area_uuid", sa.Uuid(), nullable=False),
        sa.Column("level", sa.String(), nullable=False),
        sa.Column("decision_type", sa.String(), nullable=False),
        sa.Column(
            "outcome",
            sa.JSON(none_as_null=True).with_variant(
                postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), "postgresql"
            ),
            nullable=False,
        ),
        sa.Column(
            "basis",
            sa.JSON(none_as_null=True).with_variant(
                postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), "postgresql"
            ),
            nullable=False,
        ),
        sa.Column("plugin_type", sa.String(), nullable=False),
        sa.Column("decided_by", sa.String(), nullable=False),
        sa.Column("details", sa.String(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("flow_run_id", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["grid_uuid"], ["grid.uuid"], name=op.f("fk_decision_grid_uuid_grid")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_decision")),
    )
    op.create_index(op.f("ix_decision_area_uuid"), "decision", ["area_uuid"], unique=False)
    op.create_index(op.f("ix_decision_grid_uuid"), "decision", ["grid_uuid"], unique=False)
    op.create_index(op.f("ix_decision_made_at"), "decision", ["made_at"], unique=False)
    op.create_table(
        "prediction",
        sa.Column("message_seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("target_uuid", sa.Uuid(), nullable=False),
        sa.Column("grid_uuid", sa.Uuid(), nullable=False),
        sa.Column("level", sa.String(), nullable=False),
        sa.Column("model_name", sa.String(), nullable=False),
        sa.Column("metric_name", sa.String(), nullable=True),
        sa.Column("value", sa.Float(), nullable=False),
        sa.Column("message_uuid", sa.Uuid(), nullable=False),
        sa.Column("predicted_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("message_seq", "target_uuid", name=op.f("pk_prediction")),
    )
    op.create_index(
        "ix_prediction_target", "prediction", ["target_uuid", "message_seq"], unique=False
    )
    op.create_table(
        "square",
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column("grid_uuid", sa.Uuid(), nullable=False),
        sa.Column("square_id", sa.BigInteger(), nullable=False),
        sa.Column("atlas_x", sa.Float(), nullable=True),
        sa.Column("atlas_y", sa.Float(), nullable=True),
        sa.Column("atlas_width", sa.Float(), nullable=True),
        sa.Column("atlas_height", sa.Float(), nullable=True),
        sa.Column("atlas_rotation", sa.Float(), nullable=True),
        sa.Column("physical_x", sa.Float(), nullable=True),
        sa.Column("physical_y", sa.Float(), nullable=True),
        sa.Column("placed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("atlas_node_id", sa.BigInteger(), nullable=True),
        sa.Column("stage_x", sa.Float(), nullable=True),
        sa.Column("stage_y", sa.Float(), nullable=True),
        sa.Column("stage_z", sa.Float(), nullable=True),
        sa.Column("stage_a", sa.Float(), nullable=True),
        sa.Column("stage_b", sa.Float(), nullable=True),
        sa.Column("state", sa.String(), nullable=True),
        sa.Column("selected", sa.Boolean(), nullable=True),
        sa.Column("unusable", sa.Boolean(), nullable=True),
        sa.Column("rotation", sa.Float(), nullable=True),
        sa.Column("image_path", sa.String(), nullable=True),
        sa.Column("observed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("image_id", sa.String(), nullable=True),
        sa.Column("imaged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("pixel_size", sa.Float(), nullable=True),
        sa.Column("magnification", sa.Float(), nullable=True),
        sa.Column("defocus", sa.Float(), nullable=True),
        sa.Column("undecided_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("holes_known_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("life_seq", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["grid_uuid"], ["grid.uuid"], name=op.f("fk_square_grid_uuid_grid")
        ),
        sa.PrimaryKeyConstraint("uuid", name=op.f("pk_square")),
    )
    op.create_index(op.f("ix_square_undecided_since"), "square", ["undecided_since"], unique=False)
    op.create_index(
        "uq_square_grid_uuid_square_id", "square", ["grid_uuid", "square_id"], unique=True
    )
    op.create_table(
        "atlas_tile",
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column("atlas_uuid", sa.Uuid(), nullable=False),
        sa.Column("tile_id", sa.String(), nullable=False),
        sa.Column("image_name", sa.String(), nullable=True),
        sa.Column("x", sa.Float(), nullable=True),
        sa.Column("y", sa.Float(), nullable=True),
        sa.Column("width", sa.Float(), nullable=True),
        sa.Column("height", sa.Float(), nullable=True),
        sa.Column("observed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("life_seq", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["atlas_uuid"], ["atlas.uuid"], name=op.f("fk_atlas_tile_atlas_uuid_atlas")
        ),
        sa.PrimaryKeyConstraint("uuid", name=op.f("pk_atlas_tile")),
    )
    op.create_index(op.f("ix_atlas_tile_atlas_uuid"), "atlas_tile", ["atlas_uuid"], unique=False)
    op.create_table(
        "hole",
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column("grid_uuid", sa.Uuid(), nullable=False),
        sa.Column("square_uuid", sa.Uuid(), nullable=False),
        sa.Column("hole_id", sa.BigInteger(), nullable=False),
        sa.Column("x", sa.Float(), nullable=True),
        sa.Column("y", sa.Float(), nullable=True),
        sa.Column("width", sa.Float(), nullable=True),
        sa.Column("height", sa.Float(), nullable=True),
        sa.Column("stage_x", sa.Float(), nullable=True),
        sa.Column("stage_y", sa.Float(), nullable=True),
        sa.Column("rotation", sa.Float(), nullable=True),
        sa.Column("is_near_grid_bar", sa.Boolean(), nullable=True),
        sa.Column("quality", sa.Float(), nullable=True),
        sa.Column("selected", sa.Boolean(), nullable=True),
        sa.Column("state", sa.String(), nullable=True),
        sa.Column("observed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("image_id", sa.String(), nullable=True),
        sa.Column("imaged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("found_x", sa.Float(), nullable=True),
        sa.Column("found_y", sa.Float(), nullable=True),
        sa.Column("found_width", sa.Float(), nullable=True),
        sa.Column("found_height", sa.Float(), nullable=True),
        sa.Column("found_quality", sa.Float(), nullable=True),
        sa.Column("found_rotation", sa.Float(), nullable=True),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("life_seq", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["grid_uuid"], ["grid.uuid"], name=op.f("fk_hole_grid_uuid_grid")),
        sa.ForeignKeyConstraint(
            ["square_uuid"], ["square.uuid"], name=op.f("fk_hole_square_uuid_square")
        ),
        sa.PrimaryKeyConstraint("uuid", name=op.f("pk_hole")),
    )
    op.create_index(op.f("ix_hole_square_uuid"), "hole", ["square_uuid"], unique=False)
    op.create_index("uq_hole_grid_uuid_hole_id", "hole", ["grid_uuid", "hole_id"], unique=True)
    op.create_table(
        "micrograph",
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column("grid_uuid", sa.Uuid(), nullable=False),
        sa.Column("hole_uuid", sa.Uuid(), nullable=False),
        sa.Column("stem", sa.String(), nullable=False),
        sa.Column("location_id", sa.String(), nullable=True),
        sa.Column("image_id", sa.String(), nullable=True),
        sa.Column("acquired_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("exposure_time", sa.Float(), nullable=True),
        sa.Column("defocus", sa.Float(), nullable=True),
        sa.Column("applied_defocus", sa.Float(), nullable=True),
        sa.Column("magnification", sa.Float(), nullable=True),
        sa.Column("pixel_size", sa.Float(), nullable=True),
        sa.Column("dose", sa.Float(), nullable=True),
        sa.Column("acceleration_voltage", sa.Float(), nullable=True),
        sa.Column("binning_x", sa.Float(), nullable=True),
        sa.Column("binning_y", sa.Float(), nullable=True),
        sa.Column("readout_width", sa.Float(), nullable=True),
        sa.Column("readout_height", sa.Float(), nullable=True),
        sa.Column("is_eftem", sa.Boolean(), nullable=True),
        sa.Column("phase_plate_used", sa.Boolean(), nullable=True),
        sa.Column("detector", sa.String(), nullable=True),
        sa.Column("stage_x", sa.Float(), nullable=True),
        sa.Column("stage_y", sa.Float(), nullable=True),
        sa.Column("stage_z", sa.Float(), nullable=True),
        sa.Column("stage_a", sa.Float(), nullable=True),
        sa.Column("stage_b", sa.Float(), nullable=True),
        sa.Column("path", sa.String(), nullable=True),
        sa.Column("observed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("life_seq", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["grid_uuid"], ["grid.uuid"], name=op.f("fk_micrograph_grid_uuid_grid")
        ),
        sa.ForeignKeyConstraint(
            ["hole_uuid"], ["hole.uuid"], name=op.f("fk_micrograph_hole_uuid_hole")
        ),
        sa.PrimaryKeyConstraint("uuid", name=op.f("pk_micrograph")),
    )
    op.create_index(op.f("ix_micrograph_grid_uuid"), "micrograph", ["grid_uuid"], unique=False)
    op.create_index(op.f("ix_micrograph_hole_uuid"), "micrograph", ["hole_uuid"], unique=False)
    op.create_table(
        "tile_square",
        sa.Column("tile_uuid", sa.Uuid(), nullable=False),
        sa.Column("square_uuid", sa.Uuid(), nullable=False),
        sa.Column("x", sa.Float(), nullable=True),
        sa.Column("y", sa.Float(), nullable=True),
        sa.Column("observed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["square_uuid"], ["square.uuid"], name=op.f("fk_tile_square_square_uuid_square")
        ),
        sa.ForeignKeyConstraint(
            ["tile_uuid"], ["atlas_tile.uuid"], name=op.f("fk_tile_square_tile_uuid_atlas_tile")
        ),
        sa.PrimaryKeyConstraint("tile_uuid", "square_uuid", name=op.f("pk_tile_square")),
    )
    op.create_index(
        op.f("ix_tile_square_square_uuid"), "tile_square", ["square_uuid"], unique=False
    )
    op.create_table(
        "hole_group",
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column("grid_uuid", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(), nullable=True),
        sa.Column("message_seq", sa.BigInteger(), nullable=False),
        sa.Column("message_uuid", sa.Uuid(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["grid_uuid"], ["grid.uuid"], name=op.f("fk_hole_group_grid_uuid_grid")
        ),
        sa.PrimaryKeyConstraint("uuid", name=op.f("pk_hole_group")),
    )
    op.create_index(op.f("ix_hole_group_grid_uuid"), "hole_group", ["grid_uuid"], unique=False)
    op.create_table(
        "hole_group_member",
        sa.Column("group_uuid", sa.Uuid(), nullable=False),
        sa.Column("message_seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hole_uuid", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["group_uuid"],
            ["hole_group.uuid"],
            name=op.f("fk_hole_group_member_group_uuid_hole_group"),
        ),
        sa.ForeignKeyConstraint(
            ["hole_uuid"], ["hole.uuid"], name=op.f("fk_hole_group_member_hole_uuid_hole")
        ),
        sa.PrimaryKeyConstraint(
            "group_uuid", "message_seq", "hole_uuid", name=op.f("pk_hole_group_member")
        ),
    )
    op.create_index(
        op.f("ix_hole_group_member_hole_uuid"), "hole_group_member", ["hole_uuid"], unique=False
    )
    op.create_table(
        "model_parameter",
        sa.Column("grid_uuid", sa.Uuid(), nullable=False),
        sa.Column("model_name", sa.String(), nullable=False),
        sa.Column("metric_name", sa.String(), nullable=False),
        sa.Column("parameter_group", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("value", sa.Float(), nullable=False),
        sa.Column("message_seq", sa.BigInteger(), nullable=False),
        sa.Column("message_uuid", sa.Uuid(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["grid_uuid"], ["grid.uuid"], name=op.f("fk_model_parameter_grid_uuid_grid")
        ),
        sa.PrimaryKeyConstraint(
            "grid_uuid",
            "model_name",
            "metric_name",
            "parameter_group",
            "key",
            name=op.f("pk_model_parameter"),
        ),
    )
    op.create_table(
        "measurement",
        sa.Column("message_seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("micrograph_uuid", sa.Uuid(), nullable=False),
        sa.Column("grid_uuid", sa.Uuid(), nullable=False),
        sa.Column("metric_name", sa.String(), nullable=True),
        sa.Column("value", sa.Float(), nullable=False),
        sa.Column(
            "distribution",
            sa.JSON(none_as_null=True).with_variant(
                postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), "postgresql"
            ),
            nullable=True,
        ),
        sa.Column("message_uuid", sa.Uuid(), nullable=False),
        sa.Column("measured_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("message_seq", "name", name=op.f("pk_measurement")),
    )
    op.create_index(
        "ix_measurement_micrograph",
        "measurement",
        ["micrograph_uuid", "message_seq"],
        unique=False,
    )
    op.create_table(
        "current_measurement",
        sa.Column("micrograph_uuid", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("grid_uuid", sa.Uuid(), nullable=False),
        sa.Column("metric_name", sa.String(), nullable=True),
        sa.Column("value", sa.Float(), nullable=False),
        sa.Column(
            "distribution",
            sa.JSON(none_as_null=True).with_variant(
                postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), "postgresql"
            ),
            nullable=True,
        ),
        sa.Column("message_seq", sa.BigInteger(), nullable=False),
        sa.Column("message_uuid", sa.Uuid(), nullable=False),
        sa.Column("measured_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("micrograph_uuid", "name", name=op.f("pk_current_measurement")),
    )
    op.create_index(
        "ix_current_measurement_grid",
        "current_measurement",
        ["grid_uuid", "metric_name"],
        unique=False,
    )
    metrics = sa.table(
        "quality_metric",
        sa.column("name", sa.String),
        sa.column("description", sa.String),
        sa.column("unit", sa.String),
        sa.column("larger_is_better", sa.Boolean),
    )
    op.bulk_insert(
        metrics,
        [
            {
                "name": "motioncorrection",
                "description": "Total motion of the specimen during the exposure",
                "unit": "Å",
                "larger_is_better": False,
            },
            {
                "name": "ctfmaxresolution",
                "description": "Resolution to which the CTF could be fitted",
                "unit": "Å",
                "larger_is_better": False,
            },
            {
                "name": "numparticles",
                "description": "Number of particles picked",
                "unit": None,
                "larger_is_better": True,
            },
        ],
    )


def downgrade() -> None:
    """Take back."""
    op.drop_index("ix_current_measurement_grid", table_name="current_measurement")
    op.drop_table("current_measurement")
    op.drop_index("ix_measurement_micrograph", table_name="measurement")
    op.drop_table("measurement")
    op.drop_table("model_parameter")
    op.drop_index(op.f("ix_hole_group_member_hole_uuid"), table_name="hole_group_member")
    op.drop_table("hole_group_member")
    op.drop_index(op.f("ix_hole_group_grid_uuid"), table_name="hole_group")
    op.drop_table("hole_group")
    op.drop_index(op.f("ix_tile_square_square_uuid"), table_name="tile_square")
    op.drop_table("tile_square")
    op.drop_index(op.f("ix_micrograph_hole_uuid"), table_name="micrograph")
    op.drop_index(op.f("ix_micrograph_grid_uuid"), table_name="micrograph")
    op.drop_table("micrograph")
    op.drop_index("uq_hole_grid_uuid_hole_id", table_name="hole")
    op.drop_index(op.f("ix_hole_square_uuid"), table_name="hole")
    op.drop_table("hole")
    op.drop_index(op.f("ix_atlas_tile_atlas_uuid"), table_name="atlas_tile")
    op.drop_table("atlas_tile")
    op.drop_index("uq_square_grid_uuid_square_id", table_name="square")
    op.drop_index(op.f("ix_square_undecided_since"), table_name="square")
    op.drop_table("square")
    op.drop_index("ix_prediction_target", table_name="prediction")
    op.drop_table("prediction")
    op.drop_index(op.f("ix_decision_made_at"), table_name="decision")
    op.drop_index(op.f("ix_decision_grid_uuid"), table_name="decision")
    op.drop_index(op.f("ix_decision_area_uuid"), table_name="decision")
    op.drop_table("decision")
    op.drop_index("ix_current_prediction_grid", table_name="current_prediction")
    op.drop_table("current_prediction")
    op.drop_table("atlas")
    op.drop_table("athena_session")
    op.drop_index("uq_athena_area_grid_uuid_area_id", table_name="athena_area")
    op.drop_index("ix_athena_area_unregistered", table_name="athena_area")
    op.drop_table("athena_area")
    op.drop_index(op.f("ix_grid_last_news_at"), table_name="grid")
    op.drop_index(op.f("ix_grid_acquisition_uuid"), table_name="grid")
    op.drop_table("grid")
    op.drop_table("quality_metric")
    op.drop_table("prediction_model")
    op.drop_index("ix_outbox_message_work", table_name="outbox_message")
    op.drop_index("ix_outbox_message_subject", table_name="outbox_message")
    op.drop_index("ix_outbox_message_open", table_name="outbox_message")
    op.drop_table("outbox_message")
    op.drop_index("ix_inbox_message_work", table_name="inbox_message")
    op.drop_index("ix_inbox_message_waiting_for", table_name="inbox_message")
    op.drop_index("ix_inbox_message_key", table_name="inbox_message")
    op.drop_index("ix_inbox_message_open", table_name="inbox_message")
    op.drop_table("inbox_message")
    op.drop_table("drain")
    op.drop_index("ix_delivery_source", table_name="delivery")
    op.drop_table("delivery")
    op.drop_index("ix_answer_answered_at", table_name="answer")
    op.drop_table("answer")
    op.drop_table("acquisition")
