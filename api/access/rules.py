"""The one table of who may use which route: its method and path, and the permission it asks for.

What parameters of a path are called makes no difference. A route that is missing here is
refused. Roles and their permissions: `core/permissions.py`.
"""

import re
from collections.abc import Mapping
from typing import Final

from core.permissions import Permission

_PARAMETER = re.compile(r"\{[^}]*\}")

#: Answered without a token: they tell nothing of anybody's sessions, or are how one gets a token.
_PUBLIC = """
    GET /
    GET /docs
    GET /docs/oauth2-redirect
    GET /redoc
    GET /openapi.json
    GET /static-offline-docs
    GET /health
    GET /version
    POST /auth/token
    POST /auth/refresh
    POST /auth/revoke
"""

#: Answered to everybody who says who they are, whatever they may do.
_ANYBODY_KNOWN = """
    GET /auth/me
"""

_BY_PERMISSION: Final[Mapping[Permission, str]] = {
    Permission.METRICS_READ: """
        GET /metrics
    """,
    Permission.SESSIONS_READ: """
        GET /status
        GET /sessions
        GET /sessions/{}
        GET /sessions/{}/squares
        GET /sessions/{}/holes
        GET /sessions/{}/micrographs
        GET /sessions/{}/hold
        GET /decisions
        GET /decisions/{}
        GET /acquisitions
        GET /acquisitions/grid-counts
        GET /acquisitions/{}
        GET /acquisitions/{}/grids
        GET /grids
        GET /grids/{}
        GET /grids/{}/atlas
        GET /grids/{}/atlas_image
        GET /grids/{}/gridsquares
        GET /grid/{}/model_weights
        GET /grid/{}/prediction_model/{}/latent_rep/{}/suggested_squares
        GET /atlases
        GET /atlases/{}
        GET /atlases/{}/tiles
        GET /atlas-tiles
        GET /atlas-tiles/{}
        GET /gridsquares
        GET /gridsquares/{}
        GET /gridsquares/{}/foilholes
        GET /gridsquares/{}/foilhole_quality_predictions
        GET /gridsquares/{}/gridsquare_image
        GET /gridsquares/{}/quality_predictions
        GET /gridsquares/{}/prediction_model/{}/latent_rep/{}/suggested_holes
        GET /gridsquare/{}/overall_prediction
        GET /foilholes
        GET /foilholes/{}
        GET /foilholes/{}/micrographs
        GET /micrographs
        GET /micrographs/{}
        GET /prediction_models
        GET /prediction_models/{}
        GET /prediction_model/{}/grid/{}/latent_representation
        GET /prediction_model/{}/grid/{}/prediction
        GET /prediction_model/{}/gridsquare/{}/latent_representation
        GET /prediction_model/{}/gridsquare/{}/prediction
        GET /quality_metrics
        GET /quality_metric/{}/gridsquares/{}/foilhole_quality_predictions
        GET /frontend/events/stream
        GET /agent/sessions
        GET /agent/sessions/{session_id}
        GET /agent/sessions/{session_id}/logs
        GET /instructions
        GET /instructions/{id}
    """,
    Permission.MESSAGES_READ: """
        GET /messages
        GET /messages/{}
    """,
    Permission.MESSAGES_WRITE: """
        POST /messages
        POST /quality_predictions
        POST /micrographs/{}/ctf_estimation/completed
        POST /micrographs/{}/ctf_estimation/registered
        POST /micrographs/{}/motion_correction/completed
        POST /micrographs/{}/motion_correction/registered
    """,
    Permission.MESSAGES_RETRY: """
        POST /messages/{}/retry
    """,
    Permission.ENTITIES_WRITE: """
        POST /acquisitions
        PUT /acquisitions/{}
        POST /acquisitions/{}/grids
        PUT /grids/{}
        POST /grids/{}/atlas
        POST /grids/{}/gridsquares
        POST /grids/{}/gridsquares/batch
        POST /grids/{}/registered
        PUT /atlases/{}
        POST /atlases/{}/tiles
        PUT /atlas-tiles/{}
        POST /atlas-tiles/{}/gridsquares
        POST /atlas-tiles/{}/gridsquares/{}
        PUT /gridsquares/{}
        POST /gridsquares/{}/foilholes
        POST /gridsquares/{}/registered
        PUT /foilholes/{}
        POST /foilholes/{}/micrographs
        PUT /micrographs/{}
    """,
    Permission.ENTITIES_DELETE: """
        DELETE /acquisitions/{}
        DELETE /grids/{}
        DELETE /atlases/{}
        DELETE /atlas-tiles/{}
        DELETE /gridsquares/{}
        DELETE /foilholes/{}
        DELETE /micrographs/{}
    """,
    Permission.MODELS_MANAGE: """
        POST /prediction_models
        PUT /prediction_models/{}
        DELETE /prediction_models/{}
    """,
    Permission.AGENT_CONNECT: """
        GET /agent/{}/session/{}/instructions/stream
        POST /agent/{}/session/{}/instructions/{}/ack
        POST /agent/{}/session/{}/heartbeat
        POST /agent/{}/session/{}/logs
    """,
    Permission.AGENT_SESSIONS: """
        POST /agent/sessions
        PATCH /agent/sessions/{session_id}
        POST /agent/sessions/{session_id}/end
    """,
    Permission.INSTRUCTIONS_CREATE: """
        POST /instructions
        POST /instructions/{id}/cancel
    """,
    Permission.INSTRUCTIONS_APPROVE: """
        POST /instructions/{id}/approve
        POST /instructions/{id}/reject
    """,
    Permission.DEBUG: """
        GET /debug/agent-connections
        GET /debug/connection-stats
        GET /debug/sessions
        POST /debug/sessions/create
        POST /debug/sessions/create-managed
        DELETE /debug/sessions/{}/close
        GET /debug/session/{}/instructions
        POST /debug/session/{}/create-instruction
    """,
    Permission.RETENTION_READ: """
        GET /retention
    """,
    Permission.RETENTION_RUN: """
        PUT /sessions/{}/hold
        DELETE /sessions/{}/hold
    """,
    Permission.AUDIT_READ: """
        GET /audit
    """,
    Permission.USERS_MANAGE: """
        GET /auth/keys
        POST /auth/keys
        DELETE /auth/keys/{}
    """,
}


def _lines(text: str) -> list[str]:
    return [_PARAMETER.sub("{}", line.strip()) for line in text.split("\n") if line.strip()]


PUBLIC: Final = frozenset(_lines(_PUBLIC))
ANYBODY_KNOWN: Final = frozenset(_lines(_ANYBODY_KNOWN))
PERMISSIONS: Final[Mapping[str, Permission]] = {
    route: permission for permission, text in _BY_PERMISSION.items() for route in _lines(text)
}


def name_of(method: str, path: str) -> str:
    """Return how a route is named in the table."""
    return f"{'GET' if method == 'HEAD' else method} {_PARAMETER.sub('{}', path)}"


def has_rule(name: str) -> bool:
    """Whether the table says who may use a route."""
    return name in PERMISSIONS or name in PUBLIC or name in ANYBODY_KNOWN
