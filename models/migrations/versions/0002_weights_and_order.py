"""Quality of measurements, weights of models, scores and order of holes.

Revision: 0002; follows: 0001; made: 2026-11-21 17:40:00
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("measurement", sa.Column("quality", sa.Float(), nullable=True))
    op.add_column("current_measurement", sa.Column("quality", sa.Float(), nullable=True))
    _replace_index("grid_uuid", "level", "model_name", "metric_name")
    op.create_table(
        "metric_statistics",
        sa.Column("grid_uuid", sa.Uuid(), nullable=False),
        sa.Column("metric_name", sa.String(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("mean", sa.Float(), nullable=False),
        sa.Column("m2", sa.Float(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["grid_uuid"], ["grid.uuid"], name=op.f("fk_metric_statistics_grid_uuid_grid")
        ),
        sa.PrimaryKeyConstraint("grid_uuid", "metric_name", name=op.f("pk_metric_statistics")),
    )
    op.create_table(
        "model_weight",
        sa.Column("grid_uuid", sa.Uuid(), nullable=False),
        sa.Column("metric_name", sa.String(), nullable=False),
        sa.Column("model_name", sa.String(), nullable=False),
        sa.Column("weight", sa.Float(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["grid_uuid"], ["grid.uuid"], name=op.f("fk_model_weight_grid_uuid_grid")
        ),
        sa.PrimaryKeyConstraint(
            "grid_uuid", "metric_name", "model_name", name=op.f("pk_model_weight")
        ),
    )
    op.create_table(
        "model_weight_history",
        sa.Column("message_seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("metric_name", sa.String(), nullable=False),
        sa.Column("model_name", sa.String(), nullable=False),
        sa.Column("grid_uuid", sa.Uuid(), nullable=False),
        sa.Column("micrograph_uuid", sa.Uuid(), nullable=True),
        sa.Column("step", sa.BigInteger(), nullable=False),
        sa.Column("weight", sa.Float(), nullable=False),
        sa.Column("prediction", sa.Float(), nullable=True),
        sa.Column("quality", sa.Float(), nullable=True),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint(
            "message_seq", "metric_name", "model_name", name=op.f("pk_model_weight_history")
        ),
    )
    op.create_index(
        "ix_model_weight_history_grid",
        "model_weight_history",
        ["grid_uuid", "metric_name", "step"],
        unique=False,
    )
    op.create_table(
        "initial_weight",
        sa.Column("model_name", sa.String(), nullable=False),
        sa.Column("metric_name", sa.String(), nullable=False),
        sa.Column("weight", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("model_name", "metric_name", name=op.f("pk_initial_weight")),
    )
    op.create_table(
        "hole_score",
        sa.Column("hole_uuid", sa.Uuid(), nullable=False),
        sa.Column("grid_uuid", sa.Uuid(), nullable=False),
        sa.Column("score", sa.Float(), nullable=False),
        sa.Column("suggested_acquisition_index", sa.Integer(), nullable=True),
        sa.Column("expected", sa.Float(), nullable=False),
        sa.Column("uncertainty", sa.Float(), nullable=False),
        sa.Column("cost", sa.Float(), nullable=True),
        sa.Column("refreshed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("hole_uuid", name=op.f("pk_hole_score")),
    )
    op.create_index(op.f("ix_hole_score_grid_uuid"), "hole_score", ["grid_uuid"], unique=False)
    op.create_table(
        "grid_plan",
        sa.Column("grid_uuid", sa.Uuid(), nullable=False),
        sa.Column("planner", sa.String(), nullable=True),
        sa.Column("refreshed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("refresh_wanted_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["grid_uuid"], ["grid.uuid"], name=op.f("fk_grid_plan_grid_uuid_grid")
        ),
        sa.PrimaryKeyConstraint("grid_uuid", name=op.f("pk_grid_plan")),
    )


def downgrade() -> None:
    """Take back."""
    op.drop_table("grid_plan")
    op.drop_index(op.f("ix_hole_score_grid_uuid"), table_name="hole_score")
    op.drop_table("hole_score")
    op.drop_table("initial_weight")
    op.drop_index("ix_model_weight_history_grid", table_name="model_weight_history")
    op.drop_table("model_weight_history")
    op.drop_table("model_weight")
    op.drop_table("metric_statistics")
    _replace_index("grid_uuid", "level")
    op.drop_column("current_measurement", "quality")
    op.drop_column("measurement", "quality")


def _replace_index(*columns: str) -> None:
    op.drop_index("ix_current_prediction_grid", table_name="current_prediction")
    op.create_index(
        "ix_current_prediction_grid", "current_prediction", list(columns), unique=False
    )
