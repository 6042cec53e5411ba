"""What the chart says about the programs is true of their sources: metrics that they count, variables that they read."""

import functools
import json
import pathlib
import re

import promql_parser

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
FOLDERS = ["coordinator", "worker", "proto", "lake"]
# labels whose values are the names of an enumeration
ENUMERATED = {
    "class": ("coordinator/job/src/task.rs", "FailureClass"),
    "cause": ("coordinator/fleet/src/pod.rs", "LossCause"),
    "stage": ("coordinator/job/src/task.rs", "Stage"),
}
# of kube-state-metrics
OTHERS = {"kube_job_failed", "kube_cronjob_created", "kube_cronjob_status_last_successful_time"}
# what an alert must ask for as well: that nothing happens is right while the fleet is suspended or queued, and the time of a
# good run is not there before the first one
BESIDE = {
    "stedi_coordinator_workers": "stedi_fleet_wanted",
    "stedi_coordinator_saves_total": "stedi_fleet_wanted",
    "kube_cronjob_status_last_successful_time": "kube_cronjob_created",
}


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


@functools.cache
def values_of(label):
    """What a label of ours can say: the names of its enumeration."""
    path, enumeration = ENUMERATED[label]
    implementation = (ROOT / path).read_text().split(f"impl {enumeration} {{", 1)[1].split("\n}\n", 1)[0]
    return set(re.findall(r'Self::\w+ => "([\w-]+)"', implementation))


def unknown_values(selector):
    """Values that a selector asks for and no program gives."""
    for matcher in selector.matchers.matchers:
        if selector.name.startswith("stedi_") and matcher.name in ENUMERATED:
            yield from sorted(set(matcher.value.split("|")) - values_of(matcher.name))


def selectors_of(expression):
    """The selectors in an expression of PromQL; it must be one."""
    # its pieces have these fields, whatever they are
    found, rest = [], [promql_parser.parse(expression)]
    while rest:
        node = rest.pop()
        if isinstance(node, promql_parser.VectorSelector):
            found.append(node)
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
    """Names and labels in alerts and panels that nobody counts, and what is no PromQL."""
    known = counted() | OTHERS
    for where, expression in expressions(manifests):
        # Grafana's own variable, which stands for a time
        expression = expression.replace("$__rate_interval", "5m")
        try:
            selectors = selectors_of(expression)
        except ValueError as error:
            yield f"{where}: {error}"
            continue
        used = {selector.name for selector in selectors}
        for value in (value for selector in selectors for value in unknown_values(selector)):
            yield f"{where}: nothing is counted as {value}"
        for name in sorted(used & BESIDE.keys() if where.startswith("alert") else ()):
            if BESIDE[name] not in used:
                yield f"{where}: asks for {name} without {BESIDE[name]}"
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


def other_exits(manifests):
    """A coordinator is not started again after the exit codes that its help names, but for "anything else" and SIGTERM."""
    text = (ROOT / "coordinator" / "src" / "args.rs").read_text()
    said = {int(code) for code in re.findall(r"^  (\d+) +\S", text, re.MULTILINE)} - {0, 1, 143}
    for manifest in manifests:
        job = manifest["spec"].get("jobTemplate", manifest).get("spec") if manifest["kind"] in {"CronJob", "Job"} else {}
        for rule in job.get("podFailurePolicy", {}).get("rules", []):
            if rule["action"] == "FailJob" and (codes := set(rule["onExitCodes"]["values"])) != said:
                yield f"{manifest['metadata']['name']}: not started again after {codes}, while the help says {said}"


def unknown_variables(pods):
    """Variables of ours that no program reads: a misspelt one would be passed over in silence."""
    text = all_rust()
    for pod in pods:
        for container in pod.spec["containers"]:
            for variable in container.get("env", []):
                name = variable["name"]
                if name.startswith("STEDI_") and f'"{name}"' not in text:
                    yield f"pod of {pod.role}: no program reads {name}"
