"""What cannot work ends in a failure that names the cause; what can work with more memory does."""

import sandbox
from cases import within
from machine import expect, say, wait_for
from release import Release

# the files of a cgroup: what it uses, and its limit
USAGE = {"memory.current": "memory.max", "memory.usage_in_bytes": "memory.limit_in_bytes"}


@within(minutes=3)
def wrong_image(cluster, lake):
    """An image for workers that does not exist: the run fails, its Events name the image."""
    image = "stedi.local/not-there:1"
    workers = {"pendingDeadline": "20s", "podTemplate": {"spec": {"containers": [{"name": "worker", "image": image}]}}}
    with Release(cluster, lake, "wrong-image", workers=workers) as release:
        run = release.run_now()
        run.expect_event("WorkerImage", image, seconds=60)
        run.expect_failed()
        run.expect_event("RunFailed", image)


def small_workers(lake):
    """Values for workers whose memory limit is too small for any task of the landing `large`, which is made."""
    lake.make_landing("large", customers=10000, days=3, objects={})
    limit = "14Mi"
    resources = {"requests": {"cpu": "50m", "memory": limit}, "limits": {"memory": limit}}
    return {"memory": "256MiB", "highMemory": "512Mi", "resources": resources}


@within(minutes=10)
def out_of_memory(cluster, lake):
    """Workers whose memory limit is too small for any task are killed: the tables are made on larger ones."""
    with Release(cluster, lake, "memory", workers=small_workers(lake), landing="large") as release:
        run = release.run_now()
        run.expect_event("WorkerOutOfMemory", seconds=60)
        run.expect_event("WorkersCreated", "high-memory", seconds=90)
        # in each stage all workers are killed twice before its tasks go to larger ones, and their pods come back ever later
        run.expect_committed(seconds=480)


@within(minutes=5)
def too_large(cluster, lake):
    """Not even a larger worker has enough memory: the run fails, and names the task and what to do.

    Tasks fit into any limit that the command line takes, so it is the test that takes the larger worker's memory away.
    """
    with Release(cluster, lake, "large", workers=small_workers(lake), landing="large") as release:
        # time to find the workers before they have what they are to work on
        with lake.slow("get", "accelerometer/landing", 6000):
            run = release.run_now()
            larger = f"{run.job}-wm"
            wait_for("larger workers run", 120, lambda: run.running(larger))
            size = run.kube.get(f"{release.batch}/jobs/{larger}")["spec"]["parallelism"]
            names = wait_for("all of them do", 60, lambda: found if len(found := run.running(larger)) == size else None)
            for name in names:
                uid = run.kube.get(f"{release.core}/pods/{name}")["metadata"]["uid"]
                say(f"  {name} may use {take_memory(uid) >> 20} MiB, which it does")
        run.expect_failed(seconds=60)
        run.expect_event("RunFailed", "runs out of memory alone on the largest worker", "give workers more memory")


def take_memory(uid):
    """Holds a pod's worker to what it uses now, by its cgroup (version 1 or 2); the bytes of its new limit."""
    roots = [sandbox.CGROUPS, sandbox.CGROUPS / "memory"]
    pods = [path for root in roots for path in root.glob(f"**/pod{uid}") if path.is_dir()]
    usages = [usage for pod in pods for name in USAGE for usage in pod.glob(f"*/{name}")]
    expect(usages, f"the cgroup of pod {uid} is found")
    # the other container is the pause process
    usage = max(usages, key=lambda path: int(path.read_text()))
    limit = int(usage.read_text()) + (64 << 10)
    usage.with_name(USAGE[usage.name]).write_text(str(limit))
    return limit


CASES = [wrong_image, out_of_memory, too_large]
