"""What SmartEM's clients say of entities, beyond what EPU's files do.

Revision: 0003; follows: 0002; made: 2026-11-21 21:00:00
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_COLUMNS: dict[str, list[tuple[str, sa.types.TypeEngine]]] = {
    "acquisition": [
        ("paused_at", sa.DateTime(timezone=True)),
        ("status", sa.String()),
        ("atlas_path", sa.String()),
    ],
    "grid": [
        ("status", sa.String()),
        ("data_dir", sa.String()),
        ("atlas_dir", sa.String()),
        ("scan_started_at", sa.DateTime(timezone=True)),
        ("scan_ended_at", sa.DateTime(timezone=True)),
    ],
    "atlas": [
        ("description", sa.String()),
    ],
    "atlas_tile": [
        ("file_format", sa.String()),
    ],
    "tile_square": [
        ("width", sa.Float()),
        ("height", sa.Float()),
    ],
    "square": [
        ("applied_defocus", sa.Float()),
        ("detector", sa.String()),
        ("status", sa.String()),
        ("data_dir", sa.String()),
        ("is_low_magnification", sa.Boolean()),
    ],
    "hole": [
        ("status", sa.String()),
        ("x_location", sa.Float()),
        ("y_location", sa.Float()),
        ("diameter", sa.Float()),
    ],
    "micrograph": [
        ("status", sa.String()),
        ("micrograph_id", sa.String()),
        ("high_res_path", sa.String()),
        ("total_motion", sa.Float()),
        ("average_motion", sa.Float()),
        ("ctf_max_resolution_estimate", sa.Float()),
        ("number_of_particles_picked", sa.Integer()),
        ("number_of_particles_selected", sa.Integer()),
        ("number_of_particles_rejected", sa.Integer()),
        ("selection_distribution", sa.String()),
        ("pick_distribution", sa.String()),
    ],
    "prediction_model": [
        ("can_train", sa.Boolean()),
        ("can_infer", sa.Boolean()),
        ("can_update", sa.Boolean()),
    ],
}


def upgrade() -> None:
    """Apply."""
    for table, columns in _COLUMNS.items():
        for name, kind in columns:
            op.add_column(table, sa.Column(name, kind, nullable=True))


def downgrade() -> None:
    """Undo."""
    for table, columns in _COLUMNS.items():
        for name, _ in columns:
            op.drop_column(table, name)
