"""Namespaces of mounts, network and processes for everything that the cluster is.

What is started in there cannot reach beyond the machine, mounts nothing outside, and dies as a whole when its first
process does, whatever ended that one. So only cgroups and a few settings of the kernel are left to put back.
"""

import contextlib
import os
import pathlib
import shutil
import subprocess
import sys
import time

from cluster_files import CGROUP
from machine import E2E, Failure, run, say

CGROUPS = pathlib.Path("/sys/fs/cgroup")
SYSCTLS = {
    "vm/overcommit_memory": None,
    "kernel/panic": None,
    "kernel/panic_on_oops": None,
    "kernel/keys/root_maxkeys": None,
    "kernel/keys/root_maxbytes": None,
    # watches of files: a kubelet and a containerd need more than the 128 of a small machine
    "fs/inotify/max_user_instances": 1024,
}
TEARDOWN_SECONDS = 150


def check():
    """Fails if this machine does not let us make namespaces."""
    if os.geteuid() != 0:
        raise Failure("namespaces, mounts and cgroups need root: run this as root")
    if any(folder.exists() for folder in cgroup_folders()):
        raise Failure(f"cgroup {CGROUP} exists: another e2e/run is at work, or was killed; remove the cgroup if not")


def cgroup_folders():
    """The folder of our cgroup in every hierarchy; only one if this is version 2."""
    name = CGROUP.lstrip("/")
    if (CGROUPS / "cgroup.controllers").exists():
        return [CGROUPS / name]
    return [folder / name for folder in sorted(CGROUPS.iterdir()) if (folder / "cgroup.procs").exists()]


@contextlib.contextmanager
def cgroups():
    """Our cgroup in every hierarchy, below which the kubelet puts pods. Removed, with all that is below it."""
    for folder in cgroup_folders():
        folder.mkdir()
        for name in ("cpuset.cpus", "cpuset.mems"):
            # version 1 begins with none, and then nothing can run there
            if (folder / name).exists() and folder.parent.joinpath(name).exists():
                (folder / name).write_text(folder.parent.joinpath(name).read_text())
    try:
        yield
    finally:
        for folder in cgroup_folders():
            remove_cgroup(folder)


def remove_cgroup(folder):
    deadline = time.monotonic() + 20
    while folder.exists():
        try:
            for below, _, _ in os.walk(folder, topdown=False):
                os.rmdir(below)
        except OSError as error:
            # processes that were killed leave their cgroup a moment later
            if time.monotonic() > deadline:
                say(f"cgroup {folder} cannot be removed: {error}")
                return
            time.sleep(0.1)


@contextlib.contextmanager
def sysctls():
    """What the kubelet changes in the kernel is put back."""
    root = pathlib.Path("/proc/sys")
    before = {name: (root / name).read_text() for name in SYSCTLS}
    for name, wanted in SYSCTLS.items():
        if wanted is not None and int(before[name]) < wanted:
            (root / name).write_text(str(wanted))
    try:
        yield
    finally:
        for name, value in before.items():
            if (root / name).read_text() != value:
                (root / name).write_text(value)


def enter(argv, work):
    """Runs `e2e/run --inside ...` in namespaces of its own; returns its exit code. Ends with us, however we end."""
    # the bound after which the kernel ends everything is ours; a signal to the inside is the end of its standard input
    command = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--net", "--pid", "--fork", "--kill-child"]
    command += ["--mount-proc", "catatonit", "--", sys.executable, str(E2E / "run"), "--inside", str(work), *argv]
    env = {**os.environ, "PATH": os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])}
    with cgroups(), sysctls():
        inside = subprocess.Popen(command, stdin=subprocess.PIPE, env=env, start_new_session=True)
        (work / "unshare.pid").write_text(str(inside.pid))
        try:
            return inside.wait()
        finally:
            end(inside)


def end(inside):
    """Lets the inside take itself down; after a while, or when interrupted once more, the kernel does."""
    try:
        inside.stdin.close()
        inside.wait(timeout=TEARDOWN_SECONDS)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        say("not waiting for the teardown any longer: killing what is left")
    finally:
        inside.kill()
        inside.wait()


def enter_command(work):
    """What starts a program in the sandbox from outside: its first process is the only child of unshare."""
    return f"nsenter --mount --net --target $(pgrep -P $(cat {work}/unshare.pid))"


def mounts(work):
    """Inside: programs with fixed paths find folders of ours there. No other process sees these mounts."""
    run(["mount", "--make-rshared", "/"], timeout=10)
    run(["mount", "-t", "tmpfs", "tmpfs", "/run"], timeout=10)
    for own, path in [(work / "lib", "/var/lib"), (work / "logs", "/var/log")]:
        own.mkdir(exist_ok=True)
        run(["mount", "--bind", own, path], timeout=10)


def remove(work, keep_logs):
    """Removes what the sandbox has left in the file system."""
    for path in work.iterdir():
        if path.is_dir() and not (keep_logs and path.name == "logs"):
            shutil.rmtree(path, ignore_errors=True)
        elif path.is_file():
            path.unlink()
    if not keep_logs:
        work.rmdir()
