"""Weights of the past in the order in which they are listed: by model, the oldest first.

Revision: 0009; follows: 0008; made: 2026-11-22 01:35:00
"""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_INDEX = "ix_model_weight_history_grid"
_TABLE = "model_weight_history"


def upgrade() -> None:
    """Apply."""
    op.drop_index(_INDEX, _TABLE)
    op.create_index(_INDEX, _TABLE, ["grid_uuid", "model_name", "changed_at"])


def downgrade() -> None:
    """Undo."""
    op.drop_index(_INDEX, _TABLE)
    op.create_index(_INDEX, _TABLE, ["grid_uuid", "metric_name", "step"])
