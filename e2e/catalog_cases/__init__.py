"""The cases of e2e/catalog."""

from . import athena, bad_input, coordinator, faults, publish


def cases():
    """All cases, in the order in which they run."""
    modules = (publish, faults, bad_input, athena, coordinator)
    return [case for module in modules for case in module.CASES]
