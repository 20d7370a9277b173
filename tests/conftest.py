"""What tests of this project need because this project's plugin may be at work around them."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from redis_perf.recording import _listening

# A busy machine may take long over any example.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


@pytest.fixture
def nobody_else_listens() -> Iterator[None]:
    """This very run may be metered; the taps a test puts in place are then the only ones."""
    with _listening.suspended():
        yield
