"""Who may do what: roles and the permissions that they come with.

This table is the whole of it. Which route asks for which permission says `api/access/rules.py`.
"""

from enum import StrEnum


class Permission(StrEnum):
    """One thing that somebody may be allowed to do."""

    SESSIONS_READ = "sessions.read"
    ENTITIES_WRITE = "entities.write"
    ENTITIES_DELETE = "entities.delete"
    MESSAGES_READ = "messages.read"
    MESSAGES_WRITE = "messages.write"
    MESSAGES_RETRY = "messages.retry"
    INSTRUCTIONS_CREATE = "instructions.create"
    INSTRUCTIONS_APPROVE = "instructions.approve"
    AGENT_CONNECT = "agent.connect"
    AGENT_SESSIONS = "agent.sessions"
    MODELS_MANAGE = "models.manage"
    WEIGHTS_MANAGE = "weights.manage"
    RETENTION_READ = "retention.read"
    RETENTION_RUN = "retention.run"
    USERS_MANAGE = "users.manage"
    ORGANISATIONS_MANAGE = "organisations.manage"
    AUDIT_READ = "audit.read"
    METRICS_READ = "metrics.read"
    DEBUG = "debug"


class Role(StrEnum):
    """What somebody is here; each may do all that the one before it may."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ENGINEER = "engineer"
    ADMIN = "admin"


_VIEWER = frozenset({Permission.SESSIONS_READ, Permission.METRICS_READ})
#: Runs an instrument: what an agent or a person at the microscope does.
_OPERATOR = _VIEWER | {
    Permission.ENTITIES_WRITE,
    Permission.MESSAGES_READ,
    Permission.MESSAGES_WRITE,
    Permission.INSTRUCTIONS_CREATE,
    Permission.INSTRUCTIONS_APPROVE,
    Permission.AGENT_CONNECT,
    Permission.AGENT_SESSIONS,
}
#: Changes how it decides, and mends what went wrong.
_ENGINEER = _OPERATOR | {
    Permission.ENTITIES_DELETE,
    Permission.MESSAGES_RETRY,
    Permission.MODELS_MANAGE,
    Permission.WEIGHTS_MANAGE,
    Permission.RETENTION_READ,
    Permission.DEBUG,
}

ROLES: dict[Role, frozenset[Permission]] = {
    Role.VIEWER: _VIEWER,
    Role.OPERATOR: _OPERATOR,
    Role.ENGINEER: _ENGINEER,
    Role.ADMIN: frozenset(Permission),
}


def permissions_of(role: Role) -> frozenset[Permission]:
    """Return all that a role may do."""
    return ROLES[role]
