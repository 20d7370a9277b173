"""What tests of this project need because this project's plugin may be at work around them."""

from collections.abc import Iterator

import pytest

from redis_perf.recording import _listening


@pytest.fixture
def nobody_else_listens() -> Iterator[None]:
    """This very run may be metered; the taps a test puts in place are then the only ones."""
    with _listening.suspended():
        yield
