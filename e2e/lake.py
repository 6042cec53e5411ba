"""The S3 server on the node's side of the bridge, the landing in it, and what a run in one process makes of that."""

import contextlib
import json
import os
import re
import subprocess

from machine import Failure, expect, run, timed

ADDRESS = "10.88.0.1"
BUCKET = "lake-bucket"
TABLE_FOLDERS = [
    "customer/trusted/",
    "accelerometer/trusted/",
    "customer/curated/",
    "step_trainer/trusted/",
    "machine_learning/curated/",
]
# a scan task takes 1024 small objects: three tasks for accelerometer readings, two for step readings
SMALL_OBJECTS = {"accelerometer": 2600, "step_trainer": 1100}
SHARDS = 6
# what the coordinators of the test are told, too: the parts follow from landing, these and nothing else
RUN_OPTIONS = ["--shards", str(SHARDS), "--memory", "1GiB", "--threads", "2"]


class Lake:
    """The server, and the programs that look at what is in it."""

    def __init__(self, product, work):
        self.product = product
        self.work = work
        folder = work / "s3"
        folder.mkdir()
        command = [product / "examples" / "serve", "--listen", ADDRESS, folder]
        self.server = subprocess.Popen(
            [str(part) for part in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.variables = json.loads(self.server.stdout.readline())
        self.endpoint = self.variables["AWS_ENDPOINT_URL"]
        self.expected = {}

    def close(self):
        self.server.stdin.close()
        self.server.wait(timeout=30)

    def command(self, *words):
        """One command to the server; see its source."""
        print(*words, file=self.server.stdin, flush=True)
        answer = self.server.stdout.readline()
        expect(answer.startswith("{"), "the S3 server does what it is told", answer or "it has ended")
        return json.loads(answer)

    @contextlib.contextmanager
    def slow(self, request, key, milliseconds):
        """Requests of a kind take longer for a while, so that what happens in that while happens in the middle of a run."""
        self.command("slow", request, key, milliseconds)
        try:
            yield
        finally:
            self.command("clear")

    def uri(self, name):
        return f"s3://{BUCKET}/{name}"

    def landing(self, name):
        """The landing folders of each table, as URIs."""
        return {table: self.uri(f"landing/{name}/{table}/landing") for table in ("customer", "accelerometer", "step_trainer")}

    def stedi(self, command, lake, *words, timeout=300):
        env = {**os.environ, **self.variables, "RUST_LOG": "warn"}
        return run([self.product / "stedi", command, "--lake", self.uri(lake), *words], timeout=timeout, env=env)

    def make_landing(self, name, customers, days, objects):
        """Generates landing and puts it, each table's in at least so many objects, if no case has done that."""
        folder = self.work / "landing" / name
        if folder.exists():
            return
        with timed(f"landing {name}: {customers} customers, {days} days"):
            run(
                [self.product / "stedi", "generate", "--lake", folder, "--customers", customers, "--days", days],
                timeout=300,
            )
            for table in ("customer", "accelerometer", "step_trainer"):
                files = split(folder / table / "landing", objects.get(table, 1))
                for path in files:
                    self.command("put", f"landing/{name}/{table}/landing/{path.name}", path)

    def expect_of(self, name):
        """The parts that every run over this landing must have: those of a run in one process."""
        if name not in self.expected:
            lake = f"one-process-{name}"
            words = [word for table, uri in self.landing(name).items() for word in landing_option(table, uri)]
            with timed(f"the same landing, {name}, in one process"):
                summary = json.loads(self.stedi("run", lake, *RUN_OPTIONS, *words, "--json"))
            rows = {table: found["rows"] for table, found in summary["tables"].items()}
            expect(all(rows.values()), "no table is empty", rows)
            self.expected[name] = (rows, self.parts(lake))
        return self.expected[name]

    def parts(self, lake):
        """Name, without the run, and ETag of every part in the tables' folders."""
        found = {}
        for folder in TABLE_FOLDERS:
            for key, etag in self.command("etags", f"{lake}/{folder}").items():
                name = re.sub(r"run=[0-9A-Z]{26}", "run", key.removeprefix(f"{lake}/"))
                expect(name not in found, "one run has parts in the lake", name)
                found[name] = etag
        return found

    def commits(self, lake):
        """The keys of all commits of a lake."""
        return sorted(self.command("etags", f"{lake}/_stedi/log/"))

    def check(self, lake, landing):
        """The lake holds one commit of exactly the expected parts, and its guarantees hold. What was seen, in words."""
        rows, parts = self.expect_of(landing)
        tables = json.loads(self.stedi("tables", lake, "--json"))["tables"]
        seen = {table: found["rows"] for table, found in tables.items()}
        expect(seen == rows, "the tables have the rows of a run in one process", f"{seen}, not {rows}")
        found = self.parts(lake)
        differing = sorted(name for name in parts.keys() | found.keys() if parts.get(name) != found.get(name))
        expect(not differing, "every part is byte for byte that of a run in one process", differing[:5])
        commits = self.commits(lake)
        expect(len(commits) == 1, "one commit was made", commits)
        self.stedi("verify", lake)
        return f"{len(found)} parts as in one process, {sum(rows.values())} rows, verify passes"

    def expect_nothing(self, lake):
        """Nothing was committed."""
        commits = self.commits(lake)
        expect(not commits, "nothing was committed", commits)


def landing_option(table, uri):
    return [f"--{table.replace('_', '-')}-landing", uri]


def split(folder, count):
    """Makes about so many files of those in a folder, each of whole lines; the paths of all of them."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith((".", "_")))
    if count <= len(files):
        return files
    lines = [line for path in files for line in path.read_bytes().splitlines(keepends=True)]
    if len(lines) < count:
        raise Failure(f"{folder} has {len(lines)} lines, too few for {count} files")
    pieces = folder / "pieces"
    pieces.mkdir()
    paths = []
    for n in range(count):
        path = pieces / f"piece-{n:05}.json"
        path.write_bytes(b"".join(lines[len(lines) * n // count : len(lines) * (n + 1) // count]))
        paths.append(path)
    return paths
