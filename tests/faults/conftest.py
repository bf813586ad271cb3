"""The same systems as the workers' tests have."""

from tests.workers.conftest import make_shared_system, make_system

__all__ = ["make_shared_system", "make_system"]
