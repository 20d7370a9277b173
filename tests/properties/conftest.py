"""`--hypothesis-profile=fuzz` looks longer than a test run has time for."""

from hypothesis import settings

settings.register_profile("fuzz", max_examples=500, deadline=None)
