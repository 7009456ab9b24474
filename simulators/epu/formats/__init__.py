"""EPU's file formats, written: the inverse of what the agent parses, one module per kind.

Values come in as the frozen manifests of `domains.cryoem.manifests`. Structure, namespaces and
order of elements are EPU 3's; every value that is not in the manifest is the simulator's own.
"""

from simulators.epu.formats.atlas import write_atlas
from simulators.epu.formats.image import write_image
from simulators.epu.formats.session import write_session
from simulators.epu.formats.square import HoleImages, write_square

__all__ = ["HoleImages", "write_atlas", "write_image", "write_session", "write_square"]
