"""The cases of e2e/run. Each says how long it may take, all of it: install, run, and until its namespace is gone."""


def within(minutes):
    """A case that takes longer has failed, whatever else it showed. Several times what two idle cores need."""

    def bounded(case):
        case.minutes = minutes
        return case

    return bounded
