"""The commands of docs/kubernetes.md that make objects do what is said of them there."""

import shlex

from .pods import pods
from .render import CHART, CHARTS, Wrong, documents

PAGE = CHARTS.parent / "docs" / "kubernetes.md"
BEGIN = "helm template stedi charts/stedi "


def backfill(helm, values):
    """`helm template ... | kubectl create`: a Job that no release takes away goes by itself, and it publishes nowhere, as the
    catalog shows one lake."""
    _, found, rest = PAGE.read_text().partition(BEGIN)
    if not found:
        raise Wrong(f"{PAGE.name} has no command {BEGIN.strip()}")
    words = shlex.split(rest.split("| kubectl", 1)[0].replace("\\\n", " "))
    words = [values if word == "values.yaml" else word for word in words]
    manifests = documents(helm.must("template", "stedi", CHART, *words))
    if [manifest["kind"] for manifest in manifests] != ["Job"]:
        yield f"the documented backfill makes {[manifest['kind'] for manifest in manifests]}"
        return
    if "ttlSecondsAfterFinished" not in manifests[0]["spec"]:
        yield "the Job of the documented backfill stays for ever"
    for pod in pods(manifests):
        if pod.env("STEDI_CATALOG"):
            yield f"the documented backfill of another lake is published to {pod.env('STEDI_CATALOG')}"
