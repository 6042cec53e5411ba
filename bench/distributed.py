#!/usr/bin/env python3
"""Measures a distributed run beside the same run in one process: bench/distributed.py [--rounds N] [--scaling]

All on this machine. Without --scaling: the landing of g1 (see run.py) on an S3 server on loopback, which is a process of
its own and not counted; `stedi run`, then a coordinator with 1 worker of 2 threads and with 2 workers of 1 thread. Wall
time is that of the coordinator, CPU seconds are those of all our processes (wait4).

With --scaling: 1, 2, 4 and 8 workers of one thread, each held to 0.2 CPU by a cgroup (needs root; version 1 or 2), over a
lake in a folder. Efficiency is the time with one worker over n times the time with n workers.

Row counts must agree between all runs. Writes bench/results/NAME.md and NAME.json.
"""

import argparse
import contextlib
import json
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import time

import run as bench

CPU_SHARE = 0.2


def build():
    """The release binaries: stedi, stedi-coordinator, stedi-worker and the S3 server."""
    bench.say("building")
    cargo = ["cargo", "build", "--release", "--locked"]
    packages = ["-p", "stedi", "-p", "stedi-coordinator", "-p", "stedi-worker-process"]
    subprocess.run([*cargo, *packages], cwd=bench.WORKSPACE, check=True)
    subprocess.run([*cargo, "-p", "stedi-sim-s3", "--example", "serve"], cwd=bench.WORKSPACE, check=True)
    metadata = subprocess.run(
        ["cargo", "metadata", "--no-deps", "--format-version=1"], cwd=bench.WORKSPACE, check=True, capture_output=True
    )
    return pathlib.Path(json.loads(metadata.stdout)["target_directory"]) / "release"


@contextlib.contextmanager
def s3_server(binaries, folder, landing):
    """An S3 server that has `landing` under lake/; yields the environment of its clients."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    server = subprocess.Popen(
        [binaries / "examples" / "serve", folder, landing], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield json.loads(server.stdout.readline())
    finally:
        server.stdin.close()
        server.wait(timeout=60)
        shutil.rmtree(folder, ignore_errors=True)


class Cgroup:
    """A cgroup that holds its processes to a share of one CPU."""

    def __init__(self, name, share):
        quota, period = int(share * 100_000), 100_000
        root = pathlib.Path("/sys/fs/cgroup")
        if (root / "cgroup.controllers").exists():
            (root / "cgroup.subtree_control").write_text("+cpu")
            self.folder = root / name
            self.folder.mkdir(exist_ok=True)
            (self.folder / "cpu.max").write_text(f"{quota} {period}")
        else:
            self.folder = root / "cpu" / name
            self.folder.mkdir(exist_ok=True)
            (self.folder / "cpu.cfs_period_us").write_text(str(period))
            (self.folder / "cpu.cfs_quota_us").write_text(str(quota))

    def enter(self):
        """For preexec_fn: the child is in the cgroup before it is anything else."""
        (self.folder / "cgroup.procs").write_text(str(os.getpid()))

    def remove(self):
        with contextlib.suppress(OSError):
            self.folder.rmdir()


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait(process, timeout):
    """CPU seconds and peak bytes of a process that ends."""
    deadline = time.monotonic() + timeout
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024
        if time.monotonic() > deadline:
            process.kill()
            raise SystemExit(f"{process.args[0]} did not end within {timeout} s")
        time.sleep(0.005)


def embedded(binaries, lake, env, args):
    start = time.perf_counter()
    command = [binaries / "stedi", "run", "--lake", lake, "--force", "--json", "--quiet", "--threads", "2", *args]
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, env=env, text=True)
    summary = json.loads(process.stdout.read())
    cpu, peak = wait(process, 3600)
    return summary, {"seconds": time.perf_counter() - start, "cpu_seconds": cpu, "peak_bytes": [peak]}


def distributed(binaries, lake, env, workers, threads, args, cgroups=()):
    """A coordinator and its workers, started together."""
    address = f"127.0.0.1:{free_port()}"
    quiet = {**env, "RUST_LOG": "error"}
    command = [binaries / "stedi-coordinator", "run", "--lake", lake, "--listen", address, "--force", "--json", *args]
    start = time.perf_counter()
    coordinator = subprocess.Popen(
        [str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=quiet, text=True
    )
    command = [binaries / "stedi-worker", "--coordinator", f"http://{address}", "--threads", threads]
    pool = [
        subprocess.Popen(
            [str(part) for part in command],
            env=quiet,
            stderr=subprocess.DEVNULL,
            preexec_fn=cgroups[n].enter if cgroups else None,
        )
        for n in range(workers)
    ]
    summary = json.loads(coordinator.stdout.read())
    used = [wait(coordinator, 3600)]
    seconds = time.perf_counter() - start
    used += [wait(worker, 60) for worker in pool]
    return summary, {
        "seconds": seconds,
        "cpu_seconds": sum(cpu for cpu, _ in used),
        "peak_bytes": [peak for _, peak in used],
    }


def measure(runners, rounds):
    """{name: [measured, ...]}, in interleaved rounds; all must give the same rows."""
    results, rows = {name: [] for name in runners}, None
    for number in range(rounds):
        for name, runner in runners.items():
            summary, measured = runner()
            found = {table: summary["tables"][table]["rows"] for table in bench.TABLES}
            if summary["status"] != "committed" or (rows or found) != found:
                raise SystemExit(f"{name} gave {summary['status']} {found} where others gave {rows}")
            rows = found
            results[name].append(measured)
            bench.say(f"round {number + 1} {name}: {measured['seconds']:.2f} s, {measured['cpu_seconds']:.2f} s of CPU")
    return results


def median(runs, key):
    return statistics.median(run[key] for run in runs)


def report(args, title, columns, row, results):
    """A page of Markdown: a line for each of `results`, whose cells `row` gives."""
    lines = [
        f"# {args.name}: {title}",
        "",
        f"{args.customers} customers, {args.days} days; {args.rounds} interleaved rounds, medians; {bench.processor()}.",
        "",
        f"| {' | '.join(columns)} |",
        f"|{'|'.join(columns.values())}|",
    ]
    lines += [f"| {' | '.join(row(name, runs))} |" for name, runs in results.items()]
    return "\n".join(lines) + "\n"


def overhead(binaries, landing, work, args):
    with s3_server(binaries, work / "s3", landing) as variables:
        env = {**os.environ, **variables}
        lake = "s3://lake-bucket/lake"
        results = measure(
            {
                "stedi run": lambda: embedded(binaries, lake, env, []),
                "coordinator + 1 worker of 2 threads": lambda: distributed(binaries, lake, env, 1, 2, []),
                "coordinator + 2 workers of 1 thread": lambda: distributed(binaries, lake, env, 2, 1, []),
            },
            args.rounds,
        )
    base = median(results["stedi run"], "cpu_seconds")
    columns = {
        "run": "---",
        "wall s": "---:",
        "CPU s of all our processes": "---:",
        "times the CPU of `stedi run`": "---:",
        "peak MiB of each process": "---",
    }

    def row(name, runs):
        cpu = median(runs, "cpu_seconds")
        peaks = ", ".join(f"{max(peaks) / bench.MIB:.0f}" for peaks in zip(*(run["peak_bytes"] for run in runs)))
        return name, f"{median(runs, 'seconds'):.2f}", f"{cpu:.2f}", f"{cpu / base:.2f}", peaks

    return report(args, "one process and many, on one S3 server", columns, row, results), results


def scaling(binaries, landing, work, args):
    lake = work / "lake"
    shutil.rmtree(lake, ignore_errors=True)
    lake.mkdir(parents=True)
    options = ["--shards", "64"]
    for table in ("customer", "accelerometer", "step_trainer"):
        options += [f"--{table.replace('_', '-')}-landing", str(landing / table / "landing")]
    cgroups = [Cgroup(f"stedi-bench-{n}", CPU_SHARE) for n in range(8)]
    try:

        def workers(n):
            # what was not read for a minute is slow to read on a virtual machine, and one worker takes minutes
            bench.warm(landing)
            return distributed(binaries, lake, dict(os.environ), n, 1, options, cgroups)

        runners = {str(n): lambda n=n: workers(n) for n in (1, 2, 4, 8)}
        results = measure(runners, args.rounds)
    finally:
        for cgroup in cgroups:
            cgroup.remove()
        shutil.rmtree(lake, ignore_errors=True)
    one = median(results["1"], "seconds")
    columns = {"workers": "---:", "wall s": "---:", "efficiency": "---:", "CPU s": "---:"}

    def row(name, runs):
        seconds = median(runs, "seconds")
        return name, f"{seconds:.1f}", f"{one / (int(name) * seconds):.2f}", f"{median(runs, 'cpu_seconds'):.2f}"

    return report(args, f"workers of {CPU_SHARE} CPU, 64 shards", columns, row, results), results


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--customers", type=int, default=20000)
    parser.add_argument("--days", type=int, default=5)
    parser.add_argument("--scaling", action="store_true", help="1 to 8 workers, each held to a fifth of a CPU")
    parser.add_argument("--name", default=None, help="name of the report")
    parser.add_argument("--results", type=pathlib.Path, default=bench.BENCH / "results")
    parser.add_argument("--work", type=pathlib.Path, default=bench.CACHE / "bench", help="folder for landing and outputs")
    args = parser.parse_args()
    args.name = args.name or ("scaling" if args.scaling else "distributed")
    return args


def main():
    args = arguments()
    binaries = build()
    landing = bench.generate(binaries / "stedi", args.work / "landing", args.customers, args.days)
    bench.warm(landing)
    measured = scaling if args.scaling else overhead
    text, results = measured(binaries, landing, args.work / "distributed", args)
    bench.write(args.results, args.name, text, results)


if __name__ == "__main__":
    sys.exit(main())
