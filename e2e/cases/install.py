"""The chart from install to uninstall, with a run that nobody disturbs; and what its accounts may do."""

import re

from cases import within
from machine import expect, say, wait_for
from release import CHART, RELEASE, SCAN, Release, Run

# what the chart gives the coordinator, and what every account has of the cluster
COORDINATOR_RULES = {
    ("jobs.batch", "[]", "[get list watch create patch delete]"),
    ("pods", "[]", "[get list watch]"),
    ("events.events.k8s.io", "[]", "[create patch]"),
    ("secrets", f"[{RELEASE}-tls]", "[get patch]"),
}
REVIEWS = {
    ("selfsubjectreviews.authentication.k8s.io", "[]", "[create]"),
    ("selfsubjectaccessreviews.authorization.k8s.io", "[]", "[create]"),
    ("selfsubjectrulesreviews.authorization.k8s.io", "[]", "[create]"),
}
# what the doctor must have found to be so, at least
DOCTOR_CHECKS = {"lake", "objects", "conditional writes", "tables", "fleet", "rights", "rights on certificates", "certificates"}
DOCTOR_CHECKS |= {"standard worker Job", "high-memory worker Job"}
# asked one by one, as what a list leaves out is easily overlooked
REFUSED = [
    ("create", "pods"),
    ("delete", "pods"),
    ("create", "pods/exec"),
    ("list", "secrets"),
    ("get", "secrets/store-keys"),
    ("create", "secrets"),
    ("delete", f"secrets/{RELEASE}-tls"),
    ("update", "jobs.batch"),
    ("create", "cronjobs.batch"),
    ("get", "configmaps"),
    ("create", "roles.rbac.authorization.k8s.io"),
    ("create", "serviceaccounts/token"),
    ("list", "nodes"),
    ("list", "namespaces"),
]


@within(minutes=5)
def run_by_hand(cluster, lake):
    """Install; a run by hand with 3 workers gives the tables of one process; upgrade in mid-run; uninstall leaves nothing."""
    with Release(cluster, lake, "by-hand") as release:
        policies = cluster.kube.items(f"/apis/networking.k8s.io/v1/namespaces/{release.namespace}/networkpolicies")
        say(f"  {len(policies)} NetworkPolicies are accepted; the bridge of this cluster enforces none")
        expect(len(policies) == 2, "coordinator and workers have a NetworkPolicy", [p["metadata"]["name"] for p in policies])
        say(f"  helm test: {doctor(release)}")
        with lake.slow("get", "accelerometer/landing", 200):
            run = release.run_now()
            workers = run.workers(3)
            done, tasks = run.wait_until_in(SCAN)
            coordinator = run.coordinator()
            expect_no_token(run, workers[0])
            say(f"  upgrade at {done} of {tasks} scan tasks, 3 workers")
            release.helm("upgrade", RELEASE, CHART, "--values", release.values, "--set", "workers.max=5,log.level=debug")
            expect(run.workers(3) == workers, "an upgrade leaves the workers alone", workers)
            # whoever comes now mounts what is in the Secret now
            release.kube.delete(f"{release.core}/pods/{workers[0]}")
            say(f"  after it {replacement(run, workers)} has taken the place of {workers[0]}, and the coordinator knows it")
        expect(run.coordinator() == coordinator, "an upgrade leaves the coordinator alone")
        run.expect_committed()
        run.expect_event("WorkersCreated", "3")
        run.expect_event("Committed")
        release.helm("uninstall", RELEASE, "--wait")
        left = wait_for("nothing of the release is left", 60, lambda: only_of_the_namespace(cluster, release))
        say(f"  after helm uninstall: {', '.join(left)}")


def replacement(run, workers):
    """The name of a worker that was not there before, once it is ready: then the coordinator has registered it."""
    others = wait_for("another worker is ready", 90, lambda: set(run.ready(run.workers_job)) - set(workers))
    return others.pop()


@within(minutes=4)
def backfill(cluster, lake):
    """The command of docs/kubernetes.md: other landing, more workers and another lake, once, beside a release."""
    lake.make_landing("archive", customers=150, days=1, objects={"accelerometer": 1200})
    with Release(cluster, lake, "backfill") as release:
        folders = lake.landing("archive")
        changes = {
            "mode": "job",
            "job.nameSuffix": "backfill-1",
            "job.ttlSecondsAfterFinished": 604800,
            "workers.min": 5,
            "workers.max": 5,
            "lake": lake.uri("lake-archive"),
            "catalog.type": "",
            "run.landing.customer": f"{{{folders['customer']}}}",
            "run.landing.accelerometer": f"{{{folders['accelerometer']}}}",
            "run.landing.stepTrainer": f"{{{folders['step_trainer']}}}",
        }
        words = [word for name, value in changes.items() for word in ("--set", f"{name}={value}")]
        only = ("--show-only", "templates/job.yaml")
        job = cluster.work / "backfill.yaml"
        job.write_text(release.helm("template", RELEASE, CHART, "--values", release.values, *only, *words))
        with lake.slow("get", "accelerometer/landing", 200):
            release.kubectl("create", "-f", job)
            run = Run(release, f"{RELEASE}-backfill-1")
            say(f"  {', '.join(run.workers(5))}")
        release.lake.expect_nothing(release.lake_name)
        release.lake_name, release.landing = "lake-archive", "archive"
        run.expect_committed()
        release.helm("uninstall", RELEASE, "--wait")
        expect(run.ended(), "a Job that kubectl made is not the release's to take")


def doctor(release):
    """`helm test`: how many checks went well."""
    text = release.helm("test", RELEASE, "--logs", timeout=120)
    expect("Phase:          Succeeded" in text, "helm test succeeds", text)
    good = re.findall(r"^ok +(\S+(?: \S+)*)  ", text, re.M)
    expect(DOCTOR_CHECKS <= set(good), "the doctor has made these checks", f"{sorted(DOCTOR_CHECKS)}, and said {text}")
    return f"{len(good)} checks"


def only_of_the_namespace(cluster, release):
    """What is in the namespace, once that is nothing but what every namespace has, the test's Secret and old Events."""
    allowed = ("configmaps/kube-root-ca.crt", "serviceaccounts/default", "secrets/store-keys")
    found = [name for name in cluster.kube.objects(release.namespace) if not name.startswith("events/")]
    left = [name for name in found if name not in allowed]
    expect(not left, "nothing of the release is left", left)
    return found


@within(minutes=3)
def rights(cluster, lake):
    """The coordinator's account may do what the chart lists and nothing else, the workers' nothing at all."""
    with Release(cluster, lake, "rights") as release:
        for account, expected in [("coordinator", COORDINATOR_RULES), ("worker", set())]:
            user = f"system:serviceaccount:{release.namespace}:{RELEASE}-{account}"
            text = release.kubectl("auth", "can-i", "--list", "--no-headers", f"--as={user}")
            rules, paths = rules_of(text)
            expect(rules - REVIEWS == expected, f"the rights of {account} are these", sorted(rules - REVIEWS))
            expect(all(verbs == "[get]" for _, verbs in paths), "paths are read only", paths)
            say(f"  {account}: {sorted(rules - REVIEWS) or 'nothing'}, and {len(paths)} public paths to read")
            refused = [f"{verb} {what}" for verb, what in REFUSED if not may(release, user, verb, what)]
            expect(len(refused) == len(REFUSED), "everything else is refused", sorted(set(map(" ".join, REFUSED)) - set(refused)))


def rules_of(text):
    """The rows of `kubectl auth can-i --list`: (resource, names, verbs), and (path, verbs)."""
    rules, paths = set(), set()
    for line in text.splitlines():
        if match := re.fullmatch(r"(\S*)\s+(\[.*?\])\s+(\[.*?\])\s+(\[.*?\])", line.strip()):
            resource, path, names, verbs = match.groups()
            if path != "[]":
                paths.add((path, verbs))
            else:
                rules.add((resource, names, verbs))
        elif match := re.fullmatch(r"(\[.*?\])\s+(\[.*?\])\s+(\[.*?\])", line.strip()):
            path, _, verbs = match.groups()
            paths.add((path, verbs))
    expect(rules, "kubectl lists rules", text)
    return rules, paths


def may(release, user, verb, what):
    review = {
        "spec": {
            "user": user,
            "groups": ["system:serviceaccounts", f"system:serviceaccounts:{release.namespace}", "system:authenticated"],
            "resourceAttributes": attributes(release.namespace, verb, what),
        }
    }
    answer = release.kube.post("/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
    return answer["status"]["allowed"]


def attributes(namespace, verb, what):
    resource, _, rest = what.partition("/")
    resource, _, group = resource.partition(".")
    found = {"namespace": namespace, "verb": verb, "resource": resource, "group": group}
    if rest:
        found["subresource" if rest in ("exec", "token") else "name"] = rest
    return found


def expect_no_token(run, worker):
    """A worker's pod is given no token, whatever its account could do."""
    spec = run.kube.get(f"{run.release.core}/pods/{worker}")["spec"]
    expect(spec["automountServiceAccountToken"] is False, "workers ask for no token", spec)
    sources = [source for volume in spec["volumes"] for source in volume.get("projected", {}).get("sources", [])]
    expect(not any("serviceAccountToken" in source for source in sources), f"{worker} has no token", sources)


CASES = [run_by_hand, backfill, rights]
