"""The cases of e2e/catalog."""

from . import athena, bad_input, coordinator, credentials, faults, publish


def cases():
    """All cases, in the order in which they run."""
    modules = (publish, faults, bad_input, athena, coordinator, credentials)
    return [case for module in modules for case in module.CASES]
