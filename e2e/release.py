"""A release of the chart in a namespace of its own, and its runs."""

import contextlib
import json
import re
import time

import lake as lakes
from machine import WORKSPACE, Failure, expect, say, wait_for

CHART = WORKSPACE / "charts" / "stedi"
IMAGE = ("stedi.local/stedi", "e2e")
KEYS = "store-keys"
RELEASE = "stedi"
# in the metrics, the tasks of a stage carry this name
SCAN = "scan-accelerometer"
JOIN = "join"
# a run that nobody disturbs takes some 20 s; this is for a machine on which others build
RUN_SECONDS = 240


class Release:
    """`helm install` of the chart in namespace e2e-NAME, on a lake of that name."""

    def __init__(self, cluster, lake, name, landing="small", **values):
        self.kube = cluster.kube
        self.cluster = cluster
        self.lake = lake
        self.name = name
        self.landing = landing
        self.lake_name = f"lake-{name}"
        self.namespace = f"e2e-{name}"
        self.values = cluster.work / f"values-{name}.json"
        self.values.write_text(json.dumps(merged(base_values(lake, self.lake_name, landing), values), indent=2))

    def __enter__(self):
        self.make_namespace()
        self.helm("install", RELEASE, CHART, "--values", self.values)
        return self

    def __exit__(self, kind, failure, trace):
        self.lake.command("clear")
        if kind is not None:
            # after a failure, what was there is the best hint
            with contextlib.suppress(Failure):
                say(self.story())
        if not self.kube.find(f"/api/v1/namespaces/{self.namespace}"):
            return
        # pods that failed are held by their Job until they are replaced, and a namespace that goes deletes pods before Jobs
        self.kubectl("delete", "jobs,cronjobs", "--all", "--wait=false")
        self.kube.delete(f"/api/v1/namespaces/{self.namespace}")
        wait_for(f"namespace {self.namespace} is gone", 90, self.is_gone)

    def is_gone(self):
        """Whether the namespace is gone; a failure that says what is still in it."""
        found = self.kube.find(f"/api/v1/namespaces/{self.namespace}")
        if found is None:
            return True
        conditions = found["status"].get("conditions", [])
        raise Failure("; ".join(condition["message"] for condition in conditions if condition["status"] == "True"))

    def make_namespace(self):
        labels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "audit", "warn")}
        self.kube.post("/api/v1/namespaces", {"metadata": {"name": self.namespace, "labels": labels}})
        keys = {name: self.lake.variables[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
        self.kube.post(f"{self.core}/secrets", {"metadata": {"name": KEYS}, "stringData": keys})

    @property
    def core(self):
        return f"/api/v1/namespaces/{self.namespace}"

    @property
    def batch(self):
        return f"/apis/batch/v1/namespaces/{self.namespace}"

    def helm(self, command, *words, timeout=180):
        return self.kube.helm(command, *words, "--namespace", self.namespace, timeout=timeout)

    def kubectl(self, *words):
        return self.kube.kubectl("--namespace", self.namespace, *words)

    def run_now(self, name="now"):
        """A run by hand, as NOTES.txt says."""
        self.kubectl("create", "job", f"--from=cronjob/{RELEASE}", name)
        return Run(self, name)

    def story(self):
        """Pods, Events and the coordinators' last lines."""
        pods = [f"  pod {pod['metadata']['name']} {pod['status'].get('phase')}" for pod in self.kube.items(f"{self.core}/pods")]
        events = [f"  event {event}" for event in self.events()]
        logs = [f"  log of {name}:\n{text}" for name, text in self.logs(lines=15)]
        return "\n".join(["what was there:", *pods, *events, *logs])

    def events(self):
        """`reason: note` of every Event that the coordinators and the cluster have told, in their order."""
        found = self.kube.items(f"/apis/events.k8s.io/v1/namespaces/{self.namespace}/events")
        found.sort(key=lambda event: event["metadata"]["creationTimestamp"])
        return [f"{event['regarding'].get('kind')}/{event['reason']}: {event.get('note', '')}" for event in found]

    def logs(self, lines=50):
        for pod in self.kube.items(f"{self.core}/pods"):
            name = pod["metadata"]["name"]
            with contextlib.suppress(Failure):
                yield name, self.kube.get_raw(f"{self.core}/pods/{name}/log?tailLines={lines}")


class Run:
    """A coordinator's Job and what belongs to it."""

    def __init__(self, release, job):
        self.release = release
        self.kube = release.kube
        self.job = job
        self.workers_job = f"{job}-w"

    def pods(self, job):
        path = f"{self.release.core}/pods?labelSelector=batch.kubernetes.io/job-name%3D{job}"
        return [pod for pod in self.kube.items(path)]

    def running(self, job):
        """Pods that run and are not on their way out."""
        return [pod["metadata"]["name"] for pod in self.pods(job) if is_running(pod)]

    def ready(self, job):
        """Those of them that are ready: a worker is when the coordinator knows it."""
        return [pod["metadata"]["name"] for pod in self.pods(job) if is_running(pod) and is_ready(pod)]

    def coordinator(self, seconds=60):
        return wait_for(f"a coordinator of {self.job} runs", seconds, lambda: self.running(self.job))[0]

    def workers(self, count, seconds=90):
        """The names of exactly so many running workers."""
        what = f"{count} workers of {self.job} run"
        return wait_for(what, seconds, lambda: found if len(found := self.running(self.workers_job)) == count else None)

    def metrics(self):
        """Name and labels to value, through the API server, as a person would read them."""
        path = f"{self.release.core}/pods/http:{self.coordinator()}:7421/proxy/metrics"
        text = self.kube.get_raw(path)
        found = {}
        for line in text.splitlines():
            if match := re.fullmatch(r"(\S+) ([-+0-9.eE]+)", line):
                found[match[1]] = float(match[2])
        return found

    def stage(self, stage):
        """(tasks done, tasks) of a stage."""
        metrics = self.metrics()
        label = f'{{stage="{stage}"}}'
        return tuple(int(metrics.get(f"stedi_coordinator_{name}{label}", 0)) for name in ("tasks_done", "tasks"))

    def done(self):
        """Tasks done, of all stages."""
        return sum(int(value) for name, value in self.metrics().items() if name.startswith("stedi_coordinator_tasks_done{"))

    def granted(self, stage):
        return int(self.metrics().get(f'stedi_coordinator_grants_total{{stage="{stage}"}}', 0))

    def failures(self, stage, *classes):
        """Attempts of a stage that failed, in any of these classes."""
        metrics = self.metrics()
        names = [f'stedi_coordinator_failures_total{{stage="{stage}",class="{name}"}}' for name in classes]
        expect(metrics.keys() >= set(names), "failures are counted from 0 on", names)
        return sum(int(metrics[name]) for name in names)

    def wait_until_in(self, stage, attempts=1, seconds=120):
        """Waits until so many tasks of a stage were begun; fails if all are done already."""
        wait_for(f"{self.job} is in {stage}", seconds, lambda: self.granted(stage) >= attempts)
        done, tasks = self.stage(stage)
        expect(done < tasks, f"{self.job} is in the middle of {stage}", f"{done} of {tasks} tasks are done")
        return done, tasks

    def wait_until_done(self, stage, count, seconds=120):
        """Waits until so many tasks of a stage are done; fails if all are."""
        done, tasks = wait_for(
            f"{self.job} has done {count} tasks of {stage}",
            seconds,
            lambda: found if (found := self.stage(stage))[0] >= count else None,
        )
        expect(done < tasks, f"{self.job} is in the middle of {stage}", f"{done} of {tasks} tasks are done")
        return done, tasks

    def resumed(self, coordinator):
        """How many tasks, of all stages, were done when this coordinator began to serve; None before it does."""
        log = self.kube.get_raw(f"{self.release.core}/pods/{coordinator}/log")
        match = re.search(r'"serving workers".*"done":(\d+)', log)
        return int(match[1]) if match else None

    def ended(self):
        """`Complete` or `Failed` and the message, or None."""
        job = self.kube.get(f"{self.release.batch}/jobs/{self.job}")
        for condition in job["status"].get("conditions", []):
            if condition["type"] in ("Complete", "Failed") and condition["status"] == "True":
                return condition["type"], condition.get("message", "")
        return None

    def wait_for_end(self, seconds=RUN_SECONDS):
        start = time.monotonic()
        kind, message = wait_for(f"{self.job} ends", seconds, self.ended, every=0.5)
        return kind, message, time.monotonic() - start

    def expect_committed(self, seconds=RUN_SECONDS):
        """The run ends well, in the tables of a run in one process, and leaves no pod, Job or key behind."""
        kind, message, took = self.wait_for_end(seconds)
        expect(kind == "Complete", f"{self.job} completes", message)
        say(f"  committed; the end came {took:.0f} s later: {self.release.lake.check(self.release.lake_name, self.release.landing)}")
        self.expect_nothing_left()

    def expect_failed(self, seconds=RUN_SECONDS):
        """The run fails and leaves no pod of a worker, no Job of workers and no key; nothing is committed."""
        kind, _, took = self.wait_for_end(seconds)
        expect(kind == "Failed", f"{self.job} fails", kind)
        say(f"  failed, as it should; the end came {took:.0f} s later")
        self.release.lake.expect_nothing(self.release.lake_name)
        self.expect_nothing_left()

    def expect_nothing_left(self, seconds=60):
        wait_for(f"nothing of {self.job} is left but itself", seconds, lambda: not self.left() or None)

    def left(self):
        """Whatever should not outlive a run."""
        jobs = [job["metadata"]["name"] for job in self.kube.items(f"{self.release.batch}/jobs")]
        pods = [pod["metadata"]["name"] for pod in self.kube.items(f"{self.release.core}/pods")]
        secret = self.kube.get(f"{self.release.core}/secrets/{RELEASE}-tls")
        left = [name for name in jobs if name.startswith(f"{self.job}-")]
        left += [name for name in pods if name.startswith((f"{self.job}-w-", f"{self.job}-wm-"))]
        left += [key for key in secret.get("data") or {} if key.startswith(f"{self.job}.")]
        if left:
            raise Failure(f"left: {left}")
        return left

    def expect_event(self, reason, *words, seconds=30):
        """An Event of that reason which has these words in it."""

        def find():
            found = [event for event in self.release.events() if f"/{reason}:" in event]
            return [event for event in found if all(word in event for word in words)]

        event = wait_for(f"an Event {reason} with {words}", seconds, find)[0]
        say(f"  Event {event}")
        return event


def is_running(pod):
    return pod["status"].get("phase") == "Running" and "deletionTimestamp" not in pod["metadata"]


def is_ready(pod):
    return ("Ready", "True") in [(found["type"], found["status"]) for found in pod["status"].get("conditions", [])]


def base_values(lake, lake_name, landing):
    """What the test says of every release. Little of everything: there is one small node."""
    folders = lake.landing(landing)
    port = int(lake.endpoint.rpartition(":")[2])
    return {
        "lake": lake.uri(lake_name),
        "image": {"repository": IMAGE[0], "tag": IMAGE[1]},
        # by hand only, whatever time it is
        "cronjob": {"suspend": True},
        "run": {
            "shards": lakes.SHARDS,
            "memory": "1GiB",
            "threads": 2,
            "lease": "10s",
            "landing": {
                "customer": [folders["customer"]],
                "accelerometer": [folders["accelerometer"]],
                "stepTrainer": [folders["step_trainer"]],
            },
        },
        "aws": {"region": "us-east-1", "endpoint": lake.endpoint, "existingSecret": KEYS},
        "extraEnv": [{"name": "AWS_EC2_METADATA_DISABLED", "value": "true"}],
        "coordinator": {"resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}}},
        "workers": {
            "min": 3,
            "max": 3,
            "threads": 1,
            "terminationGracePeriodSeconds": 15,
            "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}},
            "scratch": {"sizeLimit": "1Gi"},
        },
        # accepted and looked at; the bridge of this cluster enforces none
        "networkPolicy": {"enabled": True, "egress": {"enabled": True, "ports": [443, port]}},
    }


def merged(base, over):
    """Maps merged, everything else replaced."""
    if not (isinstance(base, dict) and isinstance(over, dict)):
        return over
    return {key: merged(base.get(key), over[key]) if key in over else base[key] for key in base.keys() | over.keys()}
