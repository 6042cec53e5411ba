"""A lake in a bucket, and a database, of one case."""

import gzip
import itertools
import json
import os
import pathlib
import subprocess
import tempfile

LANDING = ("customer_landing", "accelerometer_landing", "step_trainer_landing")
CURATED = (
    "customer_trusted",
    "accelerometer_trusted",
    "customers_curated",
    "step_trainer_trusted",
    "machine_learning_curated",
)
TABLES = LANDING + CURATED
PARQUET = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
SECONDS_MAX = 300
NUMBERS = itertools.count(1)


class Scene:
    def __init__(self, server, binaries, generate=("--customers", "30"), seed="1"):
        self.server, self.binaries = server, pathlib.Path(binaries)
        number = next(NUMBERS)
        self.bucket, self.database = f"stedi-{number}", f"stedi_{number}"
        self.lake = f"s3://{self.bucket}/team/lake"
        self.glue, self.s3, self.athena = (server.client(service) for service in ("glue", "s3", "athena"))
        self.s3.create_bucket(Bucket=self.bucket)
        self.to_catalog = ("--catalog", "glue", "--database", self.database)
        if generate:
            self.ok("generate", *generate, "--seed", seed)

    def command(self, program, *args, lake=None, glue=None, environment=None):
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("STEDI_", "AWS_"))}
        clean |= self.server.environment() | (environment or {})
        if glue:
            clean["AWS_ENDPOINT_URL_GLUE"] = glue.endpoint
        # None: a variable that is not to be there
        clean = {name: value for name, value in clean.items() if value is not None}
        return [self.binaries / program, args[0], "--lake", lake or self.lake, *args[1:]], clean

    def stedi(self, *args, **options):
        command, environment = self.command("stedi", *args, **options)
        return subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SECONDS_MAX
        )

    def code(self, expected, *args, **options):
        done = self.stedi(*args, **options)
        said = f"{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        assert done.returncode == expected, f"stedi {args}: exit code {done.returncode}, not {expected}: {said}"
        return done

    def ok(self, *args, **options):
        return self.code(0, *args, **options)

    def json(self, *args, **options):
        return json.loads(self.ok(*args, "--json", **options).stdout)

    def run(self, *args, **options):
        """A run that publishes."""
        return self.json("run", *self.to_catalog, *args, **options)

    def table(self, name):
        return self.glue.get_table(DatabaseName=self.database, Name=name)["Table"]

    def edit(self, name, change, database=None):
        """Changes a table as somebody else would: `change` gets its TableInput."""
        table = self.table(name)
        fields = ("Name", "Description", "Owner", "StorageDescriptor", "PartitionKeys", "TableType", "Parameters")
        # the server gives fields that are not set as empty ones, and takes none such
        table = {field: table[field] for field in fields if table.get(field) not in (None, "")}
        change(table)
        self.glue.update_table(DatabaseName=database or self.database, TableInput=table)

    def commits(self):
        return len(self.json("history")["commits"])

    def shown(self):
        """The commit that each table shows, in the order in which they are published; None for none."""
        shown = []
        for name in TABLES:
            try:
                shown.append(int(self.table(name)["Parameters"]["stedi.seq"]))
            except self.glue.exceptions.EntityNotFoundException:
                shown.append(None)
        return shown

    def comparison(self):
        return self.json("tables", *self.to_catalog)["catalog"]

    def query(self, sql):
        """The rows of a query of Athena."""
        output = {"OutputLocation": f"s3://{self.bucket}/results/"}
        context = {"Database": self.database}
        started = self.athena.start_query_execution(
            QueryString=sql, QueryExecutionContext=context, ResultConfiguration=output
        )
        query = {"QueryExecutionId": started["QueryExecutionId"]}
        while True:
            status = self.athena.get_query_execution(**query)["QueryExecution"]["Status"]
            if status["State"] == "SUCCEEDED":
                break
            assert status["State"] in ("QUEUED", "RUNNING"), f"{status.get('StateChangeReason')}: {sql}"
        rows = self.athena.get_query_results(**query)["ResultSet"]["Rows"]
        return [[value.get("VarCharValue") for value in row["Data"]] for row in rows[1:]]

    def count(self, table):
        return int(self.query(f"SELECT count(*) FROM {table}")[0][0])

    def upload(self, folder):
        """Puts the files of a folder into the lake."""
        for path in sorted(pathlib.Path(folder).rglob("*")):
            if path.is_file():
                key = f"team/lake/{path.relative_to(folder)}"
                self.s3.put_object(Bucket=self.bucket, Key=key, Body=path.read_bytes())

    def tidy(self):
        """Makes landing one JSON object a line, with the keys of today. OpenX passes over a comma behind an object and
        over the case of keys; DuckDB, which stands in for it, does not."""
        for name in ("customer", "accelerometer", "step_trainer"):
            page = self.s3.list_objects_v2(Bucket=self.bucket, Prefix=f"team/lake/{name}/landing/")
            for key in (item["Key"] for item in page["Contents"]):
                body = self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()
                text = (gzip.decompress(body) if key.endswith(".gz") else body).decode()
                lines = [line.strip().rstrip(",").replace('"timeStamp"', '"timestamp"') for line in text.splitlines()]
                self.s3.delete_object(Bucket=self.bucket, Key=key)
                body = "".join(line + "\n" for line in lines if line).encode()
                self.s3.put_object(Bucket=self.bucket, Key=key.removesuffix(".gz"), Body=body)

    def folder(self):
        """A lake in a folder, with landing."""
        folder = tempfile.mkdtemp(prefix="lake-", dir=self.server.folder)
        self.ok("generate", "--customers", "10", lake=folder)
        return folder


def has(text, *words):
    for word in words:
        assert word in text, f"`{word}` is missing: {text[-2000:]}"
