"""`--hypothesis-profile=fuzz` looks longer than a test run has time for."""

from hypothesis import settings

settings.register_profile("fuzz", settings.get_profile("any machine"), max_examples=500)
