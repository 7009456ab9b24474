"""Draw the pictures of a session with matplotlib: values in, PNG out.

Import this where something is drawn, not before: matplotlib takes a while.
"""

from tasks.cryoem.drawing.charts import exposures, weights
from tasks.cryoem.drawing.maps import atlas, square

__all__ = ["atlas", "exposures", "square", "weights"]
