"""The first administrator, where callers must say who they are and nobody is known yet."""

from collections.abc import Callable

from api.access.bearers import is_required
from core.clock import utcnow
from core.settings import Settings
from models.access import users
from models.database import Database


async def let_first_in(settings: Settings, database: Database, tell: Callable[[str], None]) -> None:
    """Make an administrator if nobody else could come in, and tell the password: this once.

    Raises:
        ConfigurationError: The API would be open beyond this machine.
    """
    if not is_required(settings) or settings.access.oidc.issuer is not None:
        return
    password = await database.write(users.add_first, now=utcnow())
    if password is not None:
        tell(f"First administrator: {users.FIRST}, password {password} (shown this once)")
