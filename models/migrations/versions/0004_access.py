"""Users, tokens, keys, organisations and the audit trail.

Revision: 0004; follows: 0003; made: 2026-11-21 21:00:00
"""

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""


def downgrade() -> None:
    """Undo."""
