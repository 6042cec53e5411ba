"""The pods in what was rendered: those that are there, and the workers, which are in the coordinator's environment."""

import copy
import dataclasses
import json
import re

from .render import Wrong


@dataclasses.dataclass
class Pod:
    """A pod, wherever its template lies."""

    role: str
    metadata: dict
    spec: dict

    def env(self, name):
        """The value of a variable of our container."""
        for container in self.spec["containers"]:
            if container["name"] == self.role:
                for variable in container.get("env", []):
                    if variable["name"] == name:
                        return variable.get("value", variable.get("valueFrom"))
        return None


def expanded(text, known=()):
    """What Kubernetes makes of a value: $$ is $, and $(NAME) of a variable that is not known stays."""
    found = re.findall(r"(?<!\$)(?:\$\$)*\$\((\w+)\)", text)
    if taken := sorted(set(found) & set(known)):
        raise Wrong(f"$({taken[0]}) of the worker would become what it is for the coordinator")
    return text.replace("$$", "$")


def coordinator_template(manifest):
    """The template of a CronJob or a Job, None of anything else."""
    if manifest["kind"] == "CronJob":
        return manifest["spec"]["jobTemplate"]["spec"]["template"]
    return manifest["spec"]["template"] if manifest["kind"] == "Job" else None


def pods(manifests):
    """All pods that the release leads to."""
    found = []
    for manifest in manifests:
        if manifest["kind"] == "Pod":
            found.append(Pod("doctor", manifest["metadata"], manifest["spec"]))
        elif template := coordinator_template(manifest):
            coordinator = Pod("coordinator", template["metadata"], template["spec"])
            found += [coordinator, worker(coordinator)]
    return found


def worker(coordinator):
    """The worker as the coordinator makes it, less what only the coordinator knows."""
    known = [variable["name"] for container in coordinator.spec["containers"] for variable in container.get("env", [])]
    template = json.loads(expanded(coordinator.env("STEDI_WORKER_TEMPLATE"), known))
    if merge := coordinator.env("STEDI_WORKER_TEMPLATE_MERGE"):
        template = merged(template, json.loads(expanded(merge, known)))
    return Pod("worker", template["metadata"], template["spec"])


def merged(base, over):
    """`over` over `base`, lists of things with names by their names, as the coordinator does it."""
    if isinstance(base, dict) and isinstance(over, dict):
        return base | {key: merged(base[key], value) if key in base else value for key, value in over.items()}
    if isinstance(base, list) and isinstance(over, list) and all("name" in item for item in [*base, *over]):
        by_name = {item["name"]: item for item in base}
        for item in over:
            by_name[item["name"]] = merged(by_name.get(item["name"], {}), item)
        return list(by_name.values())
    return over


def worker_job(pod):
    """A Job of these workers, for the schema."""
    template = {"metadata": copy.deepcopy(pod.metadata), "spec": copy.deepcopy(pod.spec)}
    spec = {
        "completionMode": "Indexed",
        "completions": 1,
        "parallelism": 1,
        "backoffLimitPerIndex": 1,
        "template": template,
    }
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "workers"}, "spec": spec}
