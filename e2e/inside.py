"""What happens in the sandbox: the cluster comes up, the cases run one after the other, everything goes down."""

import os
import pathlib
import signal
import time
import traceback

import build
import pause_image
import sandbox
from cluster import Cluster
from cluster_files import PAUSE_IMAGE
from machine import Failure, say, timed

CASES = {}


def end_with_standard_input():
    """A thread: whoever started us has gone, or wants us to go."""
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGINT)


def run_cases(args):
    """The exit code: 0 if every case held."""
    work = args.inside
    sandbox.mounts(work)
    cluster = Cluster(work, pathlib.Path(os.environ["E2E_BINARIES"]), build.cni_folder())
    failed = []
    try:
        cluster.start()
        images(cluster)
        cluster.first_pod(PAUSE_IMAGE)
        say("one pod has run: the cluster is up")
        failed = [name for name in args.case or CASES if not holds(name, CASES[name], cluster)]
        if args.keep:
            keep(cluster)
    except Failure:
        say(cluster.tails())
        raise
    finally:
        cluster.stop()
    if failed:
        say(f"FAILED: {', '.join(failed)}")
        say(cluster.tails())
    return 1 if failed else 0


def images(cluster):
    with timed("importing images"):
        archive = cluster.work / "pause.tar"
        pause_image.write(archive, PAUSE_IMAGE)
        cluster.import_image(archive)


def holds(name, case, cluster):
    """Runs one case; says how it went. The next one begins without what this one has left."""
    say(f"case {name}: {case.__doc__.splitlines()[0]}")
    start = time.monotonic()
    try:
        case(cluster)
    except Failure as failure:
        say(f"case {name}: FAILED after {time.monotonic() - start:.0f} s: {failure}")
        say("".join(traceback.format_tb(failure.__traceback__)[-3:]))
        return False
    say(f"case {name}: held, {time.monotonic() - start:.0f} s")
    return True


def keep(cluster):
    """Waits, and says how to get in."""
    pid = os.readlink("/proc/self")
    say(f"the cluster stays up until this process is interrupted; its first process in there is {pid}")
    say(f"kubectl: nsenter --all --target OUTER_PID {cluster.binaries}/kubectl --kubeconfig {cluster.kube.kubeconfig}")
    signal.pause()
