"""What tests of this project need because this project's plugin may be at work around them."""

import gc
import signal
from collections.abc import Iterator
from importlib.util import find_spec

import pytest

from redis_perf.recording import _listening

if find_spec("hypothesis"):  # which the README's first line does not install
    from hypothesis import HealthCheck, settings

    # A busy machine may take long over any example.
    settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("any machine")

# Who begins a run in the background of a shell has it ignore Ctrl-C, and all that it starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """What was collected stays to the end: no collection of garbage needs to look through it again."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def nobody_else_listens() -> Iterator[None]:
    """This very run may be metered; the taps a test puts in place are then the only ones."""
    with _listening.suspended():
        yield
