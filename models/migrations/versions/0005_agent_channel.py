"""Agents' sessions, instructions, acknowledgements and logs.

Revision: 0005; follows: 0004; made: 2026-11-21 21:00:00
"""

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""


def downgrade() -> None:
    """Undo."""
