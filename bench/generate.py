#!/usr/bin/env python3
"""Measures `stedi generate` beside the disk: bench/generate.py [--rounds N] [--customers N] [--days N]

Each round makes a clean landing, and then has dd write as many zeros into one file: past the page cache (oflag=direct),
which is how fast the disk is, and with --buffered also through it. All end with a sync, and what was written goes before
the next one starts. Times are wall time, the sync included. Writes bench/results/NAME.md and NAME.json.
"""

import argparse
import os
import pathlib
import shutil
import statistics
import subprocess
import time

import run as bench

BLOCK = 4 << 20


def seconds(command, work):
    """How long `command` and a sync take; `work` is empty before, and a host has what memory was freed."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    os.sync()
    time.sleep(4)
    start = time.monotonic()
    subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.sync()
    return time.monotonic() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--customers", type=int, default=60000)
    parser.add_argument("--days", type=int, default=5)
    parser.add_argument("--buffered", action="store_true", help="also dd through the page cache")
    parser.add_argument("--name", default="generate", help="name of the report")
    parser.add_argument("--results", type=pathlib.Path, default=bench.BENCH / "results")
    parser.add_argument("--work", type=pathlib.Path, default=bench.CACHE / "bench", help="folder on the disk to measure")
    args = parser.parse_args()

    stedi, _ = bench.build()
    size = ["--customers", args.customers, "--days", args.days]
    # what else lies in --work stays
    work = args.work / "generate"
    times, total = {}, 0
    for number in range(args.rounds):
        made = {"stedi generate": seconds([stedi, "generate", "--lake", work, *size], work)}
        total = sum(path.stat().st_size for path in work.rglob("*") if path.is_file())
        dd = ["dd", "if=/dev/zero", f"of={work / 'zeros'}", f"bs={BLOCK}", f"count={-(-total // BLOCK)}"]
        made["dd oflag=direct"] = seconds([*dd, "oflag=direct", "conv=fsync"], work)
        if args.buffered:
            made["dd"] = seconds([*dd, "conv=fsync"], work)
        for name, taken in made.items():
            times.setdefault(name, []).append(taken)
        bench.say(f"round {number + 1}: " + ", ".join(f"{name} {taken:.2f} s" for name, taken in made.items()))
    shutil.rmtree(work)

    disk = statistics.median(times["dd oflag=direct"])
    lines = [
        f"# `stedi generate --customers {args.customers} --days {args.days}`: {total / 1e6:.0f} MB",
        "",
        f"{args.rounds} rounds, medians; {bench.processor()}, the sync included.",
        "",
        "| writer | wall s | from | to | MB/s | times the disk's time |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, taken in times.items():
        median = statistics.median(taken)
        lines.append(
            f"| {name} | {median:.2f} | {min(taken):.2f} | {max(taken):.2f} | {total / 1e6 / median:.0f} "
            f"| {median / disk:.2f} |"
        )
    bench.write(args.results, args.name, "\n".join(lines) + "\n", {"landing_bytes": total, "seconds": times})


if __name__ == "__main__":
    main()
