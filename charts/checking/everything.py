"""All checks of the chart, one after the other."""

import difflib
import sys
import tempfile

from . import commands, readme, refusals, rules, sources
from .pods import pods
from .render import CHART, Helm, Wrong, cases, documents

SNAPSHOTS = CHART / "ci" / "snapshots"
# the longest that helm takes
LONG_RELEASE = "r" * 53


def main(helm_path, update):
    """Prints what is wrong; the exit code."""
    with tempfile.TemporaryDirectory() as home:
        try:
            problems = list(everything(Helm(helm_path, home), update))
        except Wrong as wrong:
            problems = [str(wrong)]
    for problem in problems:
        print(f"chart: {problem}", file=sys.stderr)
    if not problems:
        print(f"{len(cases())} files of values, {len(rules.ALL)} rules, {len(refusals.CASES)} refusals: the chart is good")
    return 1 if problems else 0


def everything(helm, update):
    used = set()
    for name, values in cases().items():
        helm.must("lint", "--strict", CHART, "--values", values)
        text = helm.template(values)
        yield from (f"{name}: {problem}" for problem in rendering(text))
        yield from snapshot(f"{name}.yaml", text, update)
        notes = helm.notes(values)
        yield from snapshot(f"{name}.txt", notes, update)
        yield from (f"{name}: {problem}" for problem in named_in_notes(notes, documents(text)))
        used |= {f"{name}.yaml", f"{name}.txt"}
    yield from (f"{path.name} is of no file of values" for path in SNAPSHOTS.iterdir() if path.name not in used)
    yield from (f"{LONG_RELEASE}: {problem}" for problem in long_names(helm, cases()["default"]))
    yield from refusals.refusals(helm, cases()["default"])
    yield from commands.backfill(helm, cases()["aws"])
    yield from documented(update)


def rendering(text):
    manifests = documents(text)
    found = pods(manifests)
    for rule in rules.ALL:
        yield from rule(manifests, found)
    yield from sources.unknown_metrics(manifests)
    yield from sources.other_rights(manifests)
    yield from sources.other_exits(manifests)
    yield from sources.unknown_variables(found)


def named_in_notes(notes, manifests):
    """People are told the name of what runs, also where a digest is part of it."""
    for manifest in manifests:
        if manifest["kind"] in {"CronJob", "Job"} and manifest["metadata"]["name"] not in notes:
            yield f"the notes do not name {manifest['kind']} {manifest['metadata']['name']}"


def long_names(helm, values):
    """The longest release name, on the oldest Kubernetes, in both modes."""
    for mode in ["cronjob", "job"]:
        more = ["--set", f"mode={mode}"]
        manifests = documents(helm.template(values, *more, release=LONG_RELEASE, kubernetes="1.33.0"))
        for rule in [rules.names, rules.selectors, rules.address]:
            yield from rule(manifests, pods(manifests))


def snapshot(name, text, update):
    """Compares with what was kept, or keeps it."""
    path = SNAPSHOTS / name
    if update:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    elif not path.exists():
        yield f"no snapshot {name}: charts/check --update writes it"
    elif (kept := path.read_text()) != text:
        lines = difflib.unified_diff(kept.splitlines(), text.splitlines(), f"kept {name}", "rendered", lineterm="", n=1)
        yield f"{name} has changed; if that is right, charts/check --update:\n" + "\n".join(lines)


def documented(update):
    path = CHART / "README.md"
    current = path.read_text()
    if (expected := readme.expected(current)) == current:
        return
    if update:
        path.write_text(expected)
    else:
        yield "README.md does not say what values.yaml does: charts/check --update"
