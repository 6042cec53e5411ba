#!/usr/bin/env python3
"""Measures `stedi run` beside DuckDB, Polars, DataFusion and Spark: bench/run.py [--rounds N] [--engines ...]

Workload g1 is `stedi generate --customers 20000 --days 5` (about 1 GB of clean landing). All engines read the same
files with a warm page cache, each in a process of its own, one after the other, in interleaved rounds; the table shows
medians. A counted run follows one of the same engine that is not counted: on a virtual machine, memory that the host has
taken back costs whoever needs it first, and that would be another engine's debt. Row counts of the five tables must agree
between all of them, or this fails.

Time is wall time from start to exit of the process: start-up and imports included, as they are for `stedi`.
CPU and memory of an engine come from wait4 (user + system time, ru_maxrss). Spark runs in a JVM that its Python process
starts and does not wait for: CPU and memory of both are read from /proc every 50 ms (the peak of the sum of their
resident sets, and the CPU time last seen of each). The same is done for the others, and the larger number counts.

Writes bench/results/NAME.md and NAME.json. Needs cargo, python3 with venv, and for Spark a JVM (17 or newer): an engine
that cannot run is named in the table as skipped.
"""

import argparse
import json
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

BENCH = pathlib.Path(__file__).resolve().parent
WORKSPACE = BENCH.parent
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "stedi"
TABLES = (
    "customer_trusted",
    "accelerometer_trusted",
    "customers_curated",
    "step_trainer_trusted",
    "machine_learning_curated",
)
OURS = {"stedi": [], "stedi-512MiB": ["--memory", "512MiB"]}
PEERS = {"datafusion": "datafusion", "polars": "polars", "duckdb": "duckdb", "spark": "pyspark"}
MIB = 1 << 20


def say(text):
    print(text, file=sys.stderr, flush=True)


def build():
    """The release binaries `stedi` and `stedi-bench`."""
    say("building stedi and stedi-bench")
    subprocess.run(
        ["cargo", "build", "--release", "--locked", "-p", "stedi", "-p", "stedi-bench"], cwd=WORKSPACE, check=True
    )
    metadata = subprocess.run(
        ["cargo", "metadata", "--no-deps", "--format-version=1"], cwd=WORKSPACE, check=True, capture_output=True
    )
    target = pathlib.Path(json.loads(metadata.stdout)["target_directory"]) / "release"
    return target / "stedi", target / "stedi-bench"


def peers_python():
    """A Python that has the peers, in a virtual environment in the user's cache."""
    venv = CACHE / "peers"
    python = venv / "bin" / "python"
    requirements = BENCH / "requirements.txt"
    if not python.exists():
        say(f"making {venv}")
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    present = subprocess.run([python, "-m", "pip", "freeze"], capture_output=True, text=True, check=True).stdout.split()
    missing = [line for line in requirements.read_text().split() if line not in present]
    if missing:
        say(f"installing {' '.join(missing)}")
        subprocess.run([python, "-m", "pip", "install", "--quiet", *missing], check=True)
    return python


def versions(python):
    text = subprocess.run([python, "-m", "pip", "freeze"], capture_output=True, text=True, check=True).stdout
    return dict(line.split("==") for line in text.split() if "==" in line)


def processes_below(root):
    """The pids of `root` and all its descendants."""
    parents = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                stat = pathlib.Path("/proc", name, "stat").read_text()
            except OSError:
                continue
            parents[int(name)] = int(stat.rsplit(")", 1)[1].split()[1])
    found, grew = {root}, True
    while grew:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        grew = bool(more)
        found |= more
    return found


class Watcher(threading.Thread):
    """Polls memory and CPU time of a process and its descendants until stopped."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.peak_bytes, self.cpu, self.stopped = pid, 0, {}, threading.Event()

    def run(self):
        ticks, page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
        while not self.stopped.wait(0.05):
            resident = 0
            for pid in processes_below(self.pid):
                try:
                    fields = pathlib.Path("/proc", str(pid), "stat").read_text().rsplit(")", 1)[1].split()
                except OSError:
                    continue
                self.cpu[pid] = (int(fields[11]) + int(fields[12])) / ticks
                resident += int(fields[21]) * page
            self.peak_bytes = max(self.peak_bytes, resident)


def measure(command, timeout):
    """Runs `command`; its last line of standard output, wall and CPU seconds and peak bytes."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        start = time.perf_counter()
        process = subprocess.Popen([str(part) for part in command], stdout=out, stderr=err)
        watcher = Watcher(process.pid)
        watcher.start()
        killer = threading.Timer(timeout, process.kill)
        killer.start()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        killer.cancel()
        watcher.stopped.set()
        watcher.join()
        out.seek(0)
        err.seek(0)
        if process.returncode != 0:
            tail = err.read()[-2000:]
            raise RuntimeError(f"exit code {process.returncode} after {seconds:.0f} s: {tail}")
        return json.loads(out.read().strip().splitlines()[-1]), {
            "seconds": seconds,
            "cpu_seconds": max(usage.ru_utime + usage.ru_stime, sum(watcher.cpu.values())),
            "peak_bytes": max(usage.ru_maxrss * 1024, watcher.peak_bytes),
        }


def run_ours(stedi, landing, out, threads, options, timeout):
    """`stedi run` into a new lake; landing stays where it is."""
    out.mkdir(parents=True)
    elsewhere = []
    for option, table in (("customer", "customer"), ("accelerometer", "accelerometer"), ("step-trainer", "step_trainer")):
        elsewhere += [f"--{option}-landing", landing / table / "landing"]
    command = [stedi, "run", "--lake", out, "--threads", threads, "--json", "--quiet", *elsewhere, *options]
    summary, measured = measure(command, timeout)
    return {table: summary["tables"][table]["rows"] for table in TABLES}, measured


def run_peer(python, engine, landing, out, threads, timeout):
    summary, measured = measure([python, BENCH / "peers.py", engine, landing, out, threads], timeout)
    return summary["rows"], measured


def warm(folder):
    """Reads every file once; returns their bytes."""
    total = 0
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with open(path, "rb") as file:
                while chunk := file.read(16 * MIB):
                    total += len(chunk)
    return total


def generate(stedi, lakes, customers, days):
    """A clean landing, made once for each size and version of `stedi`."""
    lake = lakes / f"g-{customers}-{days}"
    done = lake / ".complete"
    identity = str(stedi.stat().st_mtime_ns)
    if not done.exists() or done.read_text() != identity:
        shutil.rmtree(lake, ignore_errors=True)
        lake.mkdir(parents=True)
        say(f"generating {customers} customers, {days} days")
        command = [stedi, "generate", "--lake", lake, "--customers", str(customers), "--days", str(days)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        done.write_text(identity)
    return lake


def measure_floor(stedi, floor, landing, work, threads):
    """The newline scan, and the encoding of the tables that `stedi run` makes of the landing."""
    out = work / "floor"
    shutil.rmtree(out, ignore_errors=True)
    run_ours(stedi, landing, out, threads, [], 3600)
    best = None
    for _ in range(3):
        result = subprocess.run([floor, landing, out, str(threads)], check=True, capture_output=True, text=True)
        found = json.loads(result.stdout)
        encode = sum(table["encode_seconds"] for table in found["tables"].values())
        if best is None or found["scan_seconds"] + encode < best["scan_seconds"] + best["encode_seconds"]:
            best = found | {"encode_seconds": encode}
    shutil.rmtree(out)
    return best


def measure_all(runners, rounds, work):
    """{engine: {"runs": [...], "rows": {...}}}; an engine that fails is skipped from then on, with the reason."""
    results = {name: {"runs": []} for name in runners}
    for number in range(rounds):
        for name, runner in runners.items():
            result = results[name]
            if "skipped" in result:
                continue
            out = work / name
            try:
                for _ in ("not counted", "counted"):
                    shutil.rmtree(out, ignore_errors=True)
                    os.sync()
                    rows, measured = runner(out)
            except (RuntimeError, OSError, ValueError, KeyError) as error:
                result["skipped"] = str(error).strip().splitlines()[-1][:200]
                say(f"round {number + 1} {name}: failed: {error}")
                continue
            finally:
                shutil.rmtree(out, ignore_errors=True)
            result["runs"].append(measured)
            if result.setdefault("rows", rows) != rows:
                raise SystemExit(f"{name} gave {rows} after {result['rows']}")
            say(
                f"round {number + 1} {name}: {measured['seconds']:.2f} s, "
                f"{measured['cpu_seconds']:.2f} s of CPU, {measured['peak_bytes'] / MIB:.0f} MiB"
            )
    return results


def check_rows(results):
    """Row counts must agree between all engines."""
    counted = {name: result["rows"] for name, result in results.items() if "rows" in result}
    first = next(iter(counted), None)
    for name, rows in counted.items():
        if rows != counted[first]:
            raise SystemExit(f"row counts differ: {first} {counted[first]}, {name} {rows}")
    return counted[first] if first else {}


def median(result, key):
    return statistics.median(run[key] for run in result["runs"])


def report(report_name, facts, results, rows, floor):
    """The Markdown text."""
    present = {name: result for name, result in results.items() if "skipped" not in result and result["runs"]}
    peers = {name: median(result, "seconds") for name, result in present.items() if name in PEERS}
    fastest = min(peers, key=peers.get) if peers else None
    lines = [
        f"# {report_name}",
        "",
        f"`stedi generate --customers {facts['customers']} --days {facts['days']}`: "
        f"{facts['landing_bytes'] / 1e6:.0f} MB of landing; {facts['rounds']} interleaved rounds, medians; "
        f"{facts['threads']} threads on {facts['cpu']}, page cache warm, zstd Parquet out.",
        "",
        "| engine | wall s | times the fastest peer's speed | CPU s | peak memory MiB |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, result in sorted(results.items(), key=lambda item: median(item[1], "seconds") if item[1]["runs"] else 1e9):
        label = f"{name} {facts['versions'].get(PEERS.get(name), '')}".strip()
        if "skipped" in result or not result["runs"]:
            lines.append(f"| {label} | skipped: {result.get('skipped', 'no runs').replace('|', '/')} | | | |")
            continue
        seconds = median(result, "seconds")
        ratio = f"{peers[fastest] / seconds:.2f}" if fastest else ""
        lines.append(
            f"| {label} | {seconds:.2f} | {ratio} | {median(result, 'cpu_seconds'):.2f} "
            f"| {max(run['peak_bytes'] for run in result['runs']) / MIB:.0f} |"
        )
    lines += ["", "Peak memory is the highest of all rounds. Row counts, the same for all engines:", ""]
    lines += [f"- {table}: {count:,}" for table, count in rows.items()]
    if floor:
        tables = floor["tables"]
        lines += [
            "",
            f"Our floor on {floor['threads']} threads (best of 3): newline scan of the landing "
            f"{floor['scan_seconds']:.3f} s ({floor['landing_bytes'] / floor['scan_seconds'] / 1e9:.1f} GB/s), encoding "
            f"machine_learning_curated {tables['machine_learning_curated']['encode_seconds']:.3f} s, "
            f"all five tables {floor['encode_seconds']:.3f} s.",
        ]
    return "\n".join(lines) + "\n"


def processor():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def scale10(stedi, lakes, work, args):
    """One tenth and the whole of a large landing with 512 MiB: how time grows, and whether memory holds."""
    lines = ["# 10 times the landing, `--memory 512MiB`", "", "| customers | landing MB | wall s | peak memory MiB |",
             "|---:|---:|---:|---:|"]
    found = []
    for customers in (args.customers, 10 * args.customers):
        lake = generate(stedi, lakes, customers, args.days)
        total = warm(lake)
        runs = []
        for _ in range(args.rounds):
            out = work / "scale"
            shutil.rmtree(out, ignore_errors=True)
            os.sync()
            runs.append(run_ours(stedi, lake, out, args.threads, OURS["stedi-512MiB"], args.timeout)[1])
            shutil.rmtree(out)
        seconds = statistics.median(run["seconds"] for run in runs)
        peak = max(run["peak_bytes"] for run in runs)
        say(f"{customers} customers: {seconds:.1f} s, {peak / MIB:.0f} MiB")
        found.append({"customers": customers, "landing_bytes": total, "seconds": seconds, "peak_bytes": peak})
        lines.append(f"| {customers} | {total / 1e6:.0f} | {seconds:.2f} | {peak / MIB:.0f} |")
    lines += ["", f"{found[1]['seconds'] / found[0]['seconds']:.2f} times the time."]
    return "\n".join(lines) + "\n", found


def write(results, name, text, facts):
    results.mkdir(parents=True, exist_ok=True)
    (results / f"{name}.md").write_text(text)
    (results / f"{name}.json").write_text(json.dumps(facts, indent=2) + "\n")
    print(text)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--customers", type=int, default=20000)
    parser.add_argument("--days", type=int, default=5)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--engines", nargs="+", choices=[*OURS, *PEERS], default=[*OURS, *PEERS])
    parser.add_argument("--name", default="g1", help="name of the report")
    parser.add_argument("--results", type=pathlib.Path, default=BENCH / "results")
    parser.add_argument("--work", type=pathlib.Path, default=CACHE / "bench", help="folder for landing and outputs")
    parser.add_argument("--timeout", type=float, default=3600, help="seconds for one run")
    parser.add_argument("--scale10", action="store_true", help="only stedi, and 10 times the landing (slow)")
    return parser.parse_args()


def main():
    args = arguments()
    stedi, floor = build()
    work = args.work / "out"
    lakes = args.work / "landing"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    if args.scale10:
        text, found = scale10(stedi, lakes, work, args)
        write(args.results, f"{args.name}-scale10", text, found)
        return
    landing = generate(stedi, lakes, args.customers, args.days)
    total = warm(landing)
    runners = {}
    for name in args.engines:
        if name in OURS:
            options = OURS[name]
            runners[name] = lambda out, options=options: run_ours(
                stedi, landing, out, args.threads, options, args.timeout
            )
    installed = {}
    if any(name in PEERS for name in args.engines):
        python = peers_python()
        installed = versions(python)
        for name in args.engines:
            if name in PEERS:
                runners[name] = lambda out, name=name: run_peer(python, name, landing, out, args.threads, args.timeout)
    results = measure_all(runners, args.rounds, work)
    rows = check_rows(results)
    facts = {
        "customers": args.customers,
        "days": args.days,
        "rounds": args.rounds,
        "threads": args.threads,
        "landing_bytes": total,
        "cpu": processor(),
        "versions": installed,
        "rows": rows,
        "floor": measure_floor(stedi, floor, landing, work, args.threads) if "stedi" in args.engines else None,
        "engines": results,
    }
    write(args.results, args.name, report(args.name, facts, results, rows, facts["floor"]), facts)


if __name__ == "__main__":
    main()
