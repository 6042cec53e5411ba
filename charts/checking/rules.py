"""What must be true of every rendering. Each rule yields what is wrong."""

import functools
import re

import kubernetes_validate

from .pods import worker_job
from .render import NAMESPACE

# the oldest that the chart takes, and the newest that there is a schema of
VERSIONS = ["1.33.0", "1.37.0"]
# kinds that only a cluster with their CRDs can check
CUSTOM = {"PodMonitor", "PrometheusRule", "Certificate"}
VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
SECCOMP = {"RuntimeDefault", "Localhost"}
# what a probe or a hook can do
ACTIONS = {"exec", "grpc", "httpGet", "tcpSocket"}
# what is for the coordinator alone, or for the doctor, of all that a pod and its container say
OF_ONE = {"args", "containers", "env", "livenessProbe", "name", "ports", "readinessProbe", "startupProbe", "subdomain"}
OF_ONE |= {"terminationGracePeriodSeconds"}
# everything that the coordinator may do, and nothing else
RIGHTS = {
    ("batch", "jobs"): {"get", "list", "watch", "create", "patch", "delete"},
    ("", "pods"): {"get", "list", "watch"},
    ("events.k8s.io", "events"): {"create", "patch"},
    ("", "secrets"): {"get", "patch"},
}

# every validation of the package reads the same large files
kubernetes_validate.utils.schema_contents = functools.cache(kubernetes_validate.utils.schema_contents)


def schema(manifests, pods):
    """Every manifest is what Kubernetes takes, and so is a Job of the workers."""
    workers = [worker_job(pod) for pod in pods if pod.role == "worker"]
    for manifest in [*manifests, *workers]:
        if manifest["kind"] in CUSTOM:
            continue
        for version in VERSIONS:
            try:
                kubernetes_validate.validate(manifest, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                where = "/".join(map(str, error.path))
                yield f"{manifest['kind']} {manifest['metadata']['name']}: {where}: {error.message} ({version})"


def restricted(_, pods):
    """Pod Security "restricted", and a root file system that is read only."""
    for pod in pods:
        spec, where = pod.spec, f"pod of {pod.role}"
        context = spec.get("securityContext", {})
        for field in ["hostNetwork", "hostPID", "hostIPC"]:
            if spec.get(field):
                yield f"{where}: {field}"
        for volume in spec.get("volumes", []):
            if extra := set(volume) - {"name"} - VOLUMES:
                yield f"{where}: volume {volume['name']} is a {', '.join(extra)}"
        if context.get("sysctls") or context.get("seLinuxOptions") or context.get("windowsOptions"):
            yield f"{where}: sysctls, SELinux or Windows options"
        for container in containers(pod):
            for problem in of_container(container, context):
                yield f"{where}: container {container['name']}: {problem}"


def containers(pod):
    return [*pod.spec.get("initContainers", []), *pod.spec["containers"]]


def of_container(container, pod_context):
    context = container.get("securityContext", {})
    capabilities = context.get("capabilities", {})
    if context.get("privileged") or context.get("allowPrivilegeEscalation", True):
        yield "privileges can be had"
    if "ALL" not in capabilities.get("drop", []) or set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
        yield "capabilities are kept"
    if not context.get("runAsNonRoot", pod_context.get("runAsNonRoot")):
        yield "may be root"
    if context.get("runAsUser", pod_context.get("runAsUser")) == 0:
        yield "is root"
    if context.get("seccompProfile", pod_context.get("seccompProfile", {})).get("type") not in SECCOMP:
        yield "no seccomp profile"
    if context.get("procMount", "Default") != "Default":
        yield "procMount"
    if not context.get("readOnlyRootFilesystem"):
        yield "the root file system can be written"
    if any(port.get("hostPort") for port in container.get("ports", [])):
        yield "a port of the host"


def names(manifests, _):
    """Names fit, also those that are made of them: of a CronJob's Job, of its workers' Job, of their pods."""
    for manifest in manifests:
        kind, name = manifest["kind"], manifest["metadata"]["name"]
        longest = name
        if kind == "CronJob":
            longest = f"{name}-12345678901-wm-12345"
        elif kind == "Job":
            longest = f"{name}-wm-12345"
        if len(longest) > 63:
            yield f"{kind} {name} leads to {longest}, of {len(longest)} characters"
        if kind == "Service" and not re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", name):
            yield f"{name} is no name of a Service"
        for label, value in manifest["metadata"].get("labels", {}).items():
            if not re.fullmatch(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?", value):
                yield f"{kind} {name}: {value} is no value of label {label}"


def selectors(manifests, pods):
    """Whatever selects pods selects some of ours, and only a policy the doctor's."""
    for manifest in manifests:
        spec = manifest.get("spec", {})
        selector = spec.get("podSelector", spec.get("selector"))
        if manifest["kind"] not in {"Service", "NetworkPolicy", "PodDisruptionBudget", "PodMonitor"}:
            continue
        wanted = selector.get("matchLabels", selector if manifest["kind"] == "Service" else {})
        roles = {pod.role for pod in pods if wanted.items() <= pod.metadata.get("labels", {}).items()}
        for rule in selector.get("matchExpressions", []):
            roles &= {pod.role for pod in pods if pod.metadata["labels"].get(rule["key"]) in rule["values"]}
        if not roles or ("doctor" in roles and manifest["kind"] != "NetworkPolicy"):
            yield f"{manifest['kind']} {manifest['metadata']['name']} selects {sorted(roles) or 'nothing'}"


def rights(manifests, pods):
    """The Role is the one that was agreed on; workers and their pods have no rights and no token."""
    secrets = {pod.env("STEDI_TLS_SECRET") for pod in pods if pod.role == "coordinator"} - {None}
    accounts = {pod.role: pod.spec["serviceAccountName"] for pod in pods}
    for manifest in manifests:
        if manifest["kind"] in {"ClusterRole", "ClusterRoleBinding"}:
            yield f"{manifest['kind']} {manifest['metadata']['name']}"
        elif manifest["kind"] == "Role":
            given = {(rule["apiGroups"][0], rule["resources"][0]): set(rule["verbs"]) for rule in manifest["rules"]}
            expected = {key: verbs for key, verbs in RIGHTS.items() if key != ("", "secrets") or secrets}
            if given != expected:
                yield f"the Role gives {given}, not {expected}"
            for rule in manifest["rules"]:
                if "secrets" in rule["resources"] and set(rule.get("resourceNames", [])) != secrets:
                    yield f"the Role gives Secrets {rule.get('resourceNames')}, not {secrets}"
        elif manifest["kind"] == "RoleBinding":
            if [subject["name"] for subject in manifest["subjects"]] != [accounts["coordinator"]]:
                yield f"RoleBinding {manifest['metadata']['name']} binds {manifest['subjects']}"
    if accounts["worker"] == accounts["coordinator"]:
        yield "workers have the coordinator's account"
    for pod in pods:
        if pod.spec["automountServiceAccountToken"] is not (pod.role != "worker"):
            yield f"pod of {pod.role}: automountServiceAccountToken is {pod.spec['automountServiceAccountToken']}"


def certificates(manifests, pods):
    """The Secret of runs has no data that an upgrade could put in the place of what coordinators wrote."""
    for manifest in manifests:
        if manifest["kind"] == "Secret":
            if "data" in manifest or "stringData" in manifest:
                yield f"Secret {manifest['metadata']['name']} has data"
            if any(pod.env("STEDI_TLS_SECRET") not in (manifest["metadata"]["name"], None) for pod in pods):
                yield f"coordinators look for another Secret than {manifest['metadata']['name']}"


def address(manifests, pods):
    """Workers find the coordinator: its pod has a host name in the Service that is made."""
    services = {manifest["metadata"]["name"]: manifest for manifest in manifests if manifest["kind"] == "Service"}
    for pod in pods:
        if pod.role == "coordinator":
            service = pod.spec.get("subdomain")
            ends = f"://$(STEDI_JOB_NAME)-0.{service}.$(STEDI_POD_NAMESPACE).svc:7420"
            if not pod.env("STEDI_ADVERTISE").endswith(ends):
                yield f"{pod.env('STEDI_ADVERTISE')} is not the pod's name in {service}"
            if service not in services or not services[service]["spec"].get("publishNotReadyAddresses"):
                yield f"no Service {service} that names pods that are not ready"
                continue
            # meshes know both; without TLS it is HTTP/2 that they may look into
            protocol = "https" if pod.env("STEDI_ADVERTISE").startswith("https:") else "grpc"
            said = [port.get("appProtocol") for port in services[service]["spec"]["ports"] if port["name"] == "grpc"]
            if said != [protocol]:
                yield f"Service {service} says {said} of its port grpc, which is {protocol}"


def failures(manifests, pods):
    """Pods that failed are replaced, not restarted, and the policy on failures is about containers that are there. No schema
    says this of Jobs; an API server does."""
    for pod in pods:
        if pod.spec.get("restartPolicy") != "Never":
            yield f"pod of {pod.role}: restartPolicy is {pod.spec.get('restartPolicy')}"
    for manifest in manifests:
        job = manifest["spec"].get("jobTemplate", manifest).get("spec") if manifest["kind"] in {"CronJob", "Job"} else {}
        for rule in job.get("podFailurePolicy", {}).get("rules", []):
            named = rule.get("onExitCodes", {}).get("containerName")
            if named and named not in [container["name"] for container in job["template"]["spec"]["containers"]]:
                yield f"{manifest['kind']} {manifest['metadata']['name']}: podFailurePolicy names {named}"


def kept(manifests, _):
    """A Job of the release stays as long as the release, as the next upgrade would make one that is gone, and so run it again.
    Those of a CronJob go by themselves, also when they were made by hand."""
    for manifest in manifests:
        name = manifest["metadata"]["name"]
        if manifest["kind"] == "Job" and "ttlSecondsAfterFinished" in manifest["spec"]:
            yield f"Job {name} is removed before its release, and made again"
        if manifest["kind"] == "CronJob" and "ttlSecondsAfterFinished" not in manifest["spec"]["jobTemplate"]["spec"]:
            yield f"Jobs of CronJob {name} stay for ever"


def starts(manifests, _):
    """A CronJob has time to start: it looks every 10 seconds whether it is late."""
    for manifest in manifests:
        if manifest["kind"] == "CronJob" and manifest["spec"].get("startingDeadlineSeconds", 10) < 10:
            yield f"CronJob {manifest['metadata']['name']} is always too late"


def alternatives(_, pods):
    """Where there can be only one of several fields there is one, and each only once. No schema says this; an API server
    does."""
    for pod in pods:
        things = [(f"volume {volume['name']}", set(volume) - {"name"}) for volume in pod.spec.get("volumes", [])]
        for container in containers(pod):
            env, probes = container.get("env", []), [name for name in container if name.endswith("Probe")]
            things += [(f"{variable['name']} of {container['name']}", set(variable) & {"value", "valueFrom"}) for variable in env]
            things += [(f"{name} of {container['name']}", set(container[name]) & ACTIONS) for name in probes]
        for what, given in things:
            if len(given) != 1:
                yield f"pod of {pod.role}: {what} has {', '.join(sorted(given)) or 'nothing'}"


def variables(_, pods):
    """No variable is there twice. No schema says this; an API server does, when it applies what helm gives it."""
    for pod in pods:
        for container in containers(pod):
            given = [variable["name"] for variable in container.get("env", [])]
            if twice := sorted({name for name in given if given.count(name) > 1}):
                yield f"pod of {pod.role}: container {container['name']} has {', '.join(twice)} twice"


def mounts(_, pods):
    """Volumes that are mounted are there, at one path one; and our container can write to /tmp, as its root is read only."""
    for pod in pods:
        volumes = {volume["name"] for volume in pod.spec.get("volumes", [])}
        for container in containers(pod):
            where = f"pod of {pod.role}: container {container['name']}"
            paths = [mount["mountPath"] for mount in container.get("volumeMounts", [])]
            if missing := {mount["name"] for mount in container.get("volumeMounts", [])} - volumes:
                yield f"{where}: mounts {', '.join(sorted(missing))}, which are no volumes"
            if len(paths) != len(set(paths)):
                yield f"{where}: one path is mounted twice: {', '.join(sorted(paths))}"
            if container["name"] == pod.role and "/tmp" not in paths:
                yield f"{where}: /tmp is not mounted, only {', '.join(paths)}"


def doctor(_, pods):
    """What the doctor can do, a coordinator can: its pod is the coordinator's but for what it starts and serves."""
    found = {pod.role: pod for pod in pods}
    if "doctor" not in found:
        return
    own, other = comparable(found["doctor"]), comparable(found["coordinator"])
    for field in sorted((own.keys() | other.keys()) - {"variables"}):
        if own.get(field) != other.get(field):
            yield f"{field} of the doctor is {own.get(field)}, and of the coordinator {other.get(field)}"
    for variable in own["variables"]:
        if variable not in other["variables"]:
            yield f"the doctor is told {variable}, and the coordinator is not"


def comparable(pod):
    """Specs of pod and container, less what differs between doctor and coordinator."""
    [container] = [container for container in pod.spec["containers"] if container["name"] == pod.role]
    fields = {**pod.spec, **container, "variables": container["env"]}
    return {name: value for name, value in fields.items() if name not in OF_ONE}


def place(manifests, _):
    """Everything is in the release's namespace."""
    for manifest in manifests:
        if "namespace" in manifest["metadata"] and manifest["metadata"]["namespace"] != NAMESPACE:
            yield f"{manifest['kind']} {manifest['metadata']['name']} is in {manifest['metadata']['namespace']}"


ALL = [schema, restricted, names, selectors, rights, certificates, address, failures, kept, starts]
ALL += [alternatives, variables, mounts, doctor, place]
