"""The client of the Athena Decision Service: all 46 operations of its API v1, async."""

from blocks.athena.operations.areas import AreaOperations
from blocks.athena.operations.decisions import DecisionOperations
from blocks.athena.operations.sessions import SessionOperations
from blocks.athena.operations.values import ValueOperations


class AthenaClient(SessionOperations, AreaOperations, DecisionOperations, ValueOperations):
    """Speaks to one Athena Decision Service.

    Every method raises a subclass of AthenaError: AthenaUnavailable when nothing was done (or
    the request may be repeated anyway), AthenaOutcomeUnknown when it may have been done,
    AthenaRejected for 400, AthenaNotFound for 404, AthenaConflict for 409. It never retries.
    """
