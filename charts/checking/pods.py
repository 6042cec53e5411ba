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


# by which field Kubernetes, and so the coordinator, tells the items of a list apart; other lists are replaced
KEYS = dict.fromkeys(["containers", "env", "imagePullSecrets", "initContainers", "volumes"], "name")
KEYS |= {"hostAliases": "ip", "ports": "containerPort", "topologySpreadConstraints": "topologyKey", "volumeMounts": "mountPath"}


def merged(base, over, field=""):
    """`over` over `base` as the coordinator does it for `workers.podTemplate`."""
    if isinstance(base, dict) and isinstance(over, dict) and field != "nodeSelector":
        return base | {name: merged(base[name], value, name) if name in base else value for name, value in over.items()}
    if isinstance(base, list) and isinstance(over, list) and field in KEYS:
        by_key = {item[KEYS[field]]: item for item in base}
        for item in over:
            by_key[item[KEYS[field]]] = merged(by_key.get(item[KEYS[field]], {}), item)
        return list(by_key.values())
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
