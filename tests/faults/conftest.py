"""The same systems as the workers' tests have, and the same people as those of the whole."""

from tests.e2e.conftest import ana, guild
from tests.workers.conftest import make_shared_system, make_system

__all__ = ["ana", "guild", "make_shared_system", "make_system"]
