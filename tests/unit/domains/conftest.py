"""Settings of the property tests."""

from hypothesis import settings

# A busy machine is no reason for an example to fail; what has to be quick is timed by its test.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")
