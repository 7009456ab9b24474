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

#: The sorts and filters of lists.
_INDEXES: dict[str, list[str]] = {
    "atlas_tile": ["tile_id"],
    "square": ["square_id", "imaged_at"],
    "hole": ["hole_id", "quality", "status"],
    "micrograph": ["grid_uuid_acquired_at", "acquired_at", "status"],
}
_COMPOSITE = {"grid_uuid_acquired_at": ["grid_uuid", "acquired_at"]}
_SAID = sa.text("status <> 'none'")


def upgrade() -> None:
    """Apply."""
    for table, columns in _COLUMNS.items():
        for name, kind in columns:
            op.add_column(table, sa.Column(name, kind, nullable=True))
    for table, names in _INDEXES.items():
        for name in names:
            where = _SAID if name == "status" else None
            op.create_index(
                f"ix_{table}_{name}_uuid",
                table,
                [*_COMPOSITE.get(name, [name]), "uuid"],
                postgresql_where=where,
                sqlite_where=where,
            )
    # The one with the moment does its work.
    op.drop_index("ix_micrograph_grid_uuid", table_name="micrograph")


def downgrade() -> None:
    """Undo."""
    op.create_index("ix_micrograph_grid_uuid", "micrograph", ["grid_uuid"])
    for table, names in _INDEXES.items():
        for name in names:
            op.drop_index(f"ix_{table}_{name}_uuid", table_name=table)
    for table, columns in _COLUMNS.items():
        for name, _ in columns:
            op.drop_column(table, name)
