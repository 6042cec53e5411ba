"""Pods that go away in the middle of a run, or their node with them: it ends in the same tables."""

import contextlib

from cases import within
from cluster import NODE
from machine import expect, say, wait_for
from release import JOIN, SCAN, Release

TAINT = "stedi.local/leave"


def in_scan(lake):
    return lake.slow("get", "accelerometer/landing", 200)


def in_join(lake):
    return lake.slow("get", "/shuffle/", 6000)


@within(minutes=4)
def worker_deleted(cluster, lake):
    """A worker's pod is deleted in mid-scan: another takes its index and the run ends well."""
    with Release(cluster, lake, "worker-deleted") as release:
        with in_scan(lake):
            run = release.run_now()
            workers = run.workers(3)
            # each of the three has one of the three tasks
            done, tasks = run.wait_until_in(SCAN, attempts=3)
            release.kube.delete(f"{release.core}/pods/{workers[0]}")
            say(f"  {workers[0]} deleted at {done} of {tasks} scan tasks")
            others = wait_for("another worker takes its place", 90, lambda: replaced(run, workers[0]))
            say(f"  now {', '.join(others)}")
        run.expect_committed()
        run.expect_event("WorkerDeleted", workers[0])


def replaced(run, gone):
    names = run.running(run.workers_job)
    return names if len(names) == 3 and gone not in names else None


@within(minutes=4)
def worker_evicted(cluster, lake):
    """A worker is evicted through the Eviction API in mid-scan: that is no fault of its task."""
    with Release(cluster, lake, "worker-evicted") as release:
        # its task takes longer than a worker that is told to go may go on
        with lake.slow("get", "accelerometer/landing", 1000):
            run = release.run_now()
            workers = run.workers(3)
            run.wait_until_in(SCAN, attempts=3)
            eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": workers[1]}}
            release.kube.post(f"{release.core}/pods/{workers[1]}/eviction", eviction)
            wait_for("its task counts as preempted", 60, lambda: run.failures(SCAN, "preempted"))
            wait_for("another worker takes its place", 90, lambda: replaced(run, workers[1]))
        run.expect_committed()
        run.expect_event("WorkerEvicted", workers[1])


@within(minutes=4)
def coordinator_deleted_in_scan(cluster, lake):
    """The coordinator's pod is deleted in mid-scan: the next one adopts the workers and resumes the run."""
    with Release(cluster, lake, "scan") as release:
        with in_scan(lake):
            run = release.run_now()
            workers = run.workers(3)
            done, tasks = run.wait_until_done(SCAN, 3)
            replace_coordinator(run, f"{done} of {tasks} scan tasks")
        run.expect_committed()
        expect_same_run(run)
        say(f"  the workers were {', '.join(workers)}")


@within(minutes=4)
def coordinator_deleted_in_join(cluster, lake):
    """The coordinator's pod is deleted in mid-join: what is joined stays, and one commit is made."""
    with Release(cluster, lake, "join") as release:
        with in_join(lake):
            run = release.run_now()
            run.workers(3)
            done, tasks = run.wait_until_done(JOIN, 1)
            replace_coordinator(run, f"{done} of {tasks} join tasks")
        run.expect_committed()
        expect_same_run(run)


def replace_coordinator(run, when):
    """Deletes the coordinator's pod; the next one knows all tasks that were done, and finds the workers."""
    pod = run.coordinator()
    done = run.done()
    run.kube.delete(f"{run.release.core}/pods/{pod}")
    say(f"  {pod} deleted at {when}")
    next_one = wait_for("another coordinator runs", 90, lambda: [p for p in run.running(run.job) if p != pod])[0]
    resumed = wait_for("it serves workers", 60, lambda: run.resumed(next_one))
    expect(resumed >= done, "what was done stays done", f"{resumed} tasks, {done} before")
    say(f"  now {next_one}, with {resumed} tasks done")
    # while the run cannot end: one that ends at once is over before anybody looks at its workers
    run.expect_event("WorkersAdopted")


def expect_same_run(run):
    """One run id in the lake: the second coordinator went on with what the first one had begun."""
    keys = run.release.lake.command("etags", f"{run.release.lake_name}/_stedi/runs/")
    runs = {key.split("/_stedi/runs/")[1].split("/")[0] for key in keys}
    expect(len(runs) == 1, "the run was resumed, not begun again", runs)


@within(minutes=5)
def node_tainted(cluster, lake):
    """The node gets a taint that all workers must leave it for, in mid-scan: they come back when it is gone."""
    # without the toleration the coordinator would have to go as well, and could not tell of it
    tolerations = [{"key": TAINT, "operator": "Exists"}]
    with Release(cluster, lake, "tainted", coordinator={"tolerations": tolerations}) as release:
        with in_scan(lake):
            run = release.run_now()
            workers = run.workers(3)
            done, tasks = run.wait_until_in(SCAN, attempts=3)
            coordinator = run.coordinator()
            cluster.kube.kubectl("taint", "node", NODE, f"{TAINT}:NoExecute")
            try:
                say(f"  node tainted at {done} of {tasks} scan tasks")
                wait_for("no worker runs", 60, lambda: not run.running(run.workers_job))
                for worker in workers:
                    run.expect_event("WorkerEvicted", worker)
                run.expect_event("WorkerUnschedulable", "untolerated taint", seconds=60)
            finally:
                cluster.kube.kubectl("taint", "node", NODE, f"{TAINT}-")
            say(f"  then {', '.join(run.workers(3))}")
            expect(run.coordinator() == coordinator, "the coordinator, which tolerates it, has stayed")
        run.expect_committed()


@within(minutes=5)
def kubelet_stopped(cluster, lake):
    """The kubelet stops in mid-scan: Kubernetes loses the node, and the run, which does not ask it, goes on to its commit."""
    with Release(cluster, lake, "kubelet") as release, contextlib.ExitStack() as kubelet:
        # longer than it takes Kubernetes to miss the node
        with lake.slow("get", "accelerometer/landing", 1000):
            run = release.run_now()
            run.workers(3)
            done, tasks = run.wait_until_in(SCAN, attempts=3)
            kubelet.enter_context(cluster.stopped("kubelet"))
            say(f"  kubelet stopped at {done} of {tasks} scan tasks")
            wait_for("the node is not Ready any more", 60, lambda: not cluster.node_is_ready())
            done, tasks = run.stage(SCAN)
            expect(done < tasks, "the node is lost in mid-scan", f"{done} of {tasks} tasks are done")
            say(f"  node lost at {done} of {tasks}")
        wait_for("the run is committed", 120, lambda: lake.commits(release.lake_name))
        # the kubelet is who would tell that the coordinator has ended
        expect(run.ended() is None, "Kubernetes does not know yet", run.ended())
        say("  committed with the node lost; now the kubelet goes on")
        kubelet.close()
        wait_for("the node is Ready again", 60, cluster.node_is_ready)
        run.expect_committed()


CASES = [worker_deleted, worker_evicted, coordinator_deleted_in_scan, coordinator_deleted_in_join]
CASES += [node_tainted, kubelet_stopped]
