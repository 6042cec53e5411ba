"""How many workers there are: what the coordinator, people and the node have to say about it."""

import re

from cases import within
from lake import SHARDS
from machine import Failure, expect, say, wait_for
from release import JOIN, SCAN, Release

# what becomes of attempts whose worker goes
OF_WORKERS = ["preempted", "worker-lost"]
FEW = {"workers": {"min": 2, "max": 6}}


def job_of_workers(run):
    return f"{run.release.batch}/jobs/{run.workers_job}"


def patch_size(run, size):
    """As a person does it: `kubectl patch job`."""
    sizes = f'{{"spec":{{"parallelism":{size},"completions":{size}}}}}'
    run.release.kubectl("patch", "job", run.workers_job, "--type=merge", f"--patch={sizes}")


def scanning(release):
    """A run that has workers, in the midst of its scan."""
    run = release.run_now()
    wait_for("workers run", 90, lambda: run.running(run.workers_job))
    run.wait_until_in(SCAN)
    return run


@within(minutes=5)
def patched(cluster, lake):
    """`kubectl patch` of the worker Job to 5 and 3 in mid-run is honoured, to 1 of at least 2 is corrected; it ends well."""
    with Release(cluster, lake, "patched", **FEW) as release:
        with lake.slow("get", "accelerometer/landing", 250):
            run = scanning(release)
            patch_size(run, 5)
            say(f"  patched to 5: {', '.join(run.workers(5))}")
            run.expect_event("ScaledByHand", "to 5 workers")
            patch_size(run, 3)
            expect_lowest(run, run.workers(3))
            run.expect_event("ScaledByHand", "to 3 workers")
            patch_size(run, 1)
            run.expect_event("ScaledByHand", "to 1 worker", "held at 2")
            expect_lowest(run, run.workers(2))
        run.expect_committed()


def expect_lowest(run, workers):
    """Those that are left have the lowest indexes."""
    found = indexes([pod for pod in run.pods(run.workers_job) if pod["metadata"]["name"] in workers])
    expect(found == list(range(len(workers))), "the lowest indexes stay", found)
    say(f"  left: {', '.join(workers)}")


def indexes(pods):
    return sorted(int(pod["metadata"]["labels"]["batch.kubernetes.io/job-completion-index"]) for pod in pods)


@within(minutes=4)
def grown(cluster, lake):
    """A fleet that begins with one worker grows by itself, as there is much to scan."""
    with Release(cluster, lake, "grown", workers={"min": 1, "max": 5}) as release:
        with lake.slow("get", "accelerometer/landing", 250):
            run = release.run_now()
            run.expect_event("ScaledUp", "from 1 to 5 workers", seconds=90)
            say(f"  grown to 5: {', '.join(run.workers(5))}")
            done, tasks = run.stage(SCAN)
            expect(done < tasks, "it grows while there is something to do", f"{done} of {tasks} tasks are done")
        run.expect_committed()


@within(minutes=5)
def shrunk(cluster, lake):
    """A fleet of 5 has one task left, and shrinks by itself to whoever executes that."""
    with Release(cluster, lake, "shrunk", workers={"min": 1, "max": 5}) as release:
        with lake.slow("get", "accelerometer/landing", 250):
            run = release.run_now()
            run.workers(5)
        # what one shard writes takes longer than a fleet must have been too large
        with lake.slow("put", "part-00001-", 25000):
            done, tasks = run.wait_until_done(JOIN, SHARDS)
            say(f"  {done} of {tasks} join tasks are done")
            before = run.failures(JOIN, *OF_WORKERS)
            event, taken = expect_shrinks(run)
            left = int(re.search(r"from 5 to (\d) worker", event)[1])
            names = run.workers(left)
            say(f"  left: {', '.join(names)}")
            wait_for("those beyond are gone", 30, lambda: all(index < left for index in indexes(run.pods(run.workers_job))))
            failed = run.failures(JOIN, *OF_WORKERS) - before
            expect(failed <= taken, "nobody who works goes", f"{failed} attempts failed, {taken} by the test")
        run.expect_committed()


def expect_shrinks(run):
    """The Event, and how many attempts the test has taken away to see it."""
    try:
        return run.expect_event("ScaledDown", seconds=60), 0
    except Failure:
        # the highest index may have the task, and then no other can go
        [last] = [name for name in run.running(run.workers_job) if name.startswith(f"{run.workers_job}-4-")]
        run.kube.delete(f"{run.release.core}/pods/{last}")
        say(f"  {last} deleted, so that a lower index has the task")
        return run.expect_event("ScaledDown", seconds=60), 1


@within(minutes=5)
def suspended(cluster, lake):
    """The worker Job is suspended in mid-run and resumed: no error, and the run ends well."""
    with Release(cluster, lake, "suspended") as release:
        with lake.slow("get", "accelerometer/landing", 200):
            run = release.run_now()
            run.workers(3)
            run.wait_until_in(SCAN)
            run.kube.patch(job_of_workers(run), {"spec": {"suspend": True}})
            wait_for("no worker is left", 60, lambda: not run.pods(run.workers_job))
            run.expect_event("WorkersSuspended")
            expect(run.ended() is None, "the run waits")
            run.kube.patch(job_of_workers(run), {"spec": {"suspend": False}})
            run.workers(3)
            run.expect_event("WorkersResumed")
        run.expect_committed()


@within(minutes=5)
def cordoned(cluster, lake):
    """With the node cordoned, a scale-up stays Pending and is told of; the workers that are there finish."""
    with Release(cluster, lake, "cordoned", **FEW) as release:
        with lake.slow("get", "accelerometer/landing", 250):
            run = scanning(release)
            cluster.kube.kubectl("cordon", "n1")
            try:
                patch_size(run, 5)
                run.expect_event("WorkerUnschedulable", "unschedulable", seconds=60)
            except BaseException:
                cluster.kube.kubectl("uncordon", "n1")
                raise
        try:
            run.expect_committed()
        finally:
            cluster.kube.kubectl("uncordon", "n1")


CASES = [patched, grown, shrunk, suspended, cordoned]
