"""What happens in the sandbox: the cluster comes up, the cases run one after the other, everything goes down."""

import os
import pathlib
import signal
import time
import traceback

import build
import pause_image
import sandbox
from cases import install, loss, scale, trouble
from cluster import Cluster
from cluster_files import PAUSE_IMAGE
from lake import SMALL_OBJECTS, Lake
from machine import E2E, Failure, expect, run, say, timed
from release import IMAGE

# in this order: what everything else rests on comes first
CASES = {case.__name__.replace("_", "-"): case for module in (install, loss, scale, trouble) for case in module.CASES}


def end_with_standard_input():
    """A thread: whoever started us has gone, or wants us to go."""
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGINT)


def run_cases(args):
    """The exit code: 0 if every case held."""
    work, product = args.inside, pathlib.Path(os.environ["E2E_PRODUCT"])
    sandbox.mounts(work)
    cluster = Cluster(work, pathlib.Path(os.environ["E2E_BINARIES"]), build.cni_folder())
    lake = None
    try:
        cluster.start()
        images(cluster, product)
        cluster.first_pod(PAUSE_IMAGE)
        say("one pod has run: the cluster is up")
        lake = Lake(product, work)
        lake.make_landing("small", customers=400, days=1, objects=SMALL_OBJECTS)
        failed = [name for name in args.case or CASES if not holds(name, CASES[name], cluster, lake)]
        if args.keep:
            keep(cluster)
    except Failure:
        say(cluster.tails())
        raise
    finally:
        cluster.stop()
        if lake:
            lake.close()
    if failed:
        say(f"FAILED: {', '.join(failed)}")
        say(cluster.tails())
    return 1 if failed else 0


def images(cluster, product):
    with timed("making and importing images"):
        pause, stedi = cluster.work / "pause.tar", cluster.work / "stedi.tar"
        pause_image.write(pause, PAUSE_IMAGE)
        run([E2E / "image", "--binaries", product, "--name", ":".join(IMAGE), "--output", stedi], timeout=120)
        for archive in (pause, stedi):
            cluster.import_image(archive)
            archive.unlink()


def holds(name, case, cluster, lake):
    """Runs one case; says how it went. The next one begins without what this one has left."""
    say(f"case {name}, within {case.minutes} minutes: {case.__doc__.splitlines()[0]}")
    start = time.monotonic()
    try:
        case(cluster, lake)
        took = time.monotonic() - start
        expect(took <= case.minutes * 60, f"it took {took:.0f} s, and may take {case.minutes * 60} s")
    except Failure as failure:
        say(f"case {name}: FAILED after {time.monotonic() - start:.0f} s: {failure}")
        say("".join(traceback.format_tb(failure.__traceback__)[-3:]))
        return False
    say(f"case {name}: held, {took:.0f} s")
    return True


def keep(cluster):
    """Waits, and says how to get in."""
    kubectl = f"{cluster.binaries}/kubectl --kubeconfig {cluster.kube.kubeconfig}"
    say(f"the cluster stays up until Ctrl-C; in another terminal: {sandbox.enter_command(cluster.work)} {kubectl} get pods -A")
    signal.pause()
