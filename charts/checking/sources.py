"""What the chart says about the programs is true of their sources: metrics that they count, variables that they read."""

import functools
import json
import pathlib
import re

import promql_parser

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
FOLDERS = ["coordinator", "worker", "proto", "lake"]
# of kube-state-metrics
OTHERS = {"kube_job_failed", "kube_cronjob_status_last_successful_time"}


@functools.cache
def rust_files():
    """The text of each Rust file of the programs."""
    paths = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.rs")]
    return [path.read_text() for path in paths if not {"target", "tests", "fuzz"} & set(path.parts)]


def all_rust():
    return "".join(rust_files())


@functools.cache
def counted():
    """The metrics that the sources register, under the names that Prometheus sees."""
    names = set()
    for text in rust_files():
        prefixes = re.findall(r'with_prefix\(\s*"(\w+)"', text)
        types = dict(re.findall(r"(\w+): (?:Family<\w+, )?(Counter|Gauge|Histogram)", text))
        for prefix in prefixes:
            for name, field in re.findall(r'register\(\s*"(\w+)",\s*"[^"]*",\s*(?:self\.)?(\w+)', text):
                end = {"Counter": "_total", "Histogram": "_bucket"}.get(types.get(field), "")
                names.add(f"{prefix}_{name}{end}")
    return names


def metrics_of(expression):
    """The metrics in an expression of PromQL; it must be one."""
    # its pieces have these fields, whatever they are
    found, rest = set(), [promql_parser.parse(expression)]
    while rest:
        node = rest.pop()
        if isinstance(node, promql_parser.VectorSelector):
            found.add(node.name)
        for field in ["expr", "lhs", "rhs", "vector_selector", "args"]:
            child = getattr(node, field, None)
            rest += child if isinstance(child, list) else [child] if child is not None else []
    return found


def expressions(manifests):
    """The expressions of alerts and dashboards, with where they are."""
    for manifest in manifests:
        if manifest["kind"] == "PrometheusRule":
            for group in manifest["spec"]["groups"]:
                yield from ((f"alert {rule['alert']}", rule["expr"]) for rule in group["rules"])
        for name, text in manifest.get("data", {}).items() if manifest["kind"] == "ConfigMap" else ():
            if name.endswith(".json"):
                panels = json.loads(text)["panels"]
                yield from ((f"panel {p['title']}", target["expr"]) for p in panels for target in p.get("targets", []))


def unknown_metrics(manifests):
    """Names in alerts and panels that nobody counts, and what is no PromQL."""
    known = counted() | OTHERS
    for where, expression in expressions(manifests):
        # Grafana's own variable, which stands for a time
        expression = expression.replace("$__rate_interval", "5m")
        try:
            used = metrics_of(expression)
        except ValueError as error:
            yield f"{where}: {error}"
            continue
        if not used or used - known:
            yield f"{where}: nobody counts {', '.join(sorted(used - known)) or expression}"


def other_rights(manifests):
    """The Role gives what the doctor asks for, and nothing else."""
    needed = set(re.findall(r'\bright\("([\w.]*)", "(\w+)", "(\w+)"\)', all_rust()))
    for manifest in manifests:
        if manifest["kind"] == "Role" and needed:
            rules = manifest["rules"]
            given = {(rule["apiGroups"][0], rule["resources"][0], verb) for rule in rules for verb in rule["verbs"]}
            for right in sorted(given ^ {right for right in needed if right[1] != "secrets" or right in given}):
                yield f"{' '.join(right)}: only one of the Role and the coordinator's list of rights has it"


def unknown_variables(pods):
    """Variables of ours that no program reads: a misspelt one would be passed over in silence."""
    text = all_rust()
    for pod in pods:
        for container in pod.spec["containers"]:
            for variable in container.get("env", []):
                name = variable["name"]
                if name.startswith("STEDI_") and f'"{name}"' not in text:
                    yield f"pod of {pod.role}: no program reads {name}"
