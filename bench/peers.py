"""The five tables by a peer engine, with customer match: peers.py ENGINE LANDING OUT THREADS

Does what `stedi run` does on clean landing: reads the JSON with the schema given (nobody guesses types), filters and
joins with the same SQL, writes the five tables as zstd Parquet. Peers need not sort, count, quarantine or commit.
The last line on standard output is JSON: {"rows": {table: rows}}.
"""

import json
import os
import shutil
import sys

TABLES = (
    "customer_trusted",
    "accelerometer_trusted",
    "customers_curated",
    "step_trainer_trusted",
    "machine_learning_curated",
)
LANDING = ("customer", "accelerometer", "step_trainer")
COLUMNS = {
    "customer": [
        ("customerName", "string"),
        ("email", "string"),
        ("phone", "string"),
        ("birthDay", "string"),
        ("serialNumber", "string"),
        ("registrationDate", "bigint"),
        ("lastUpdateDate", "bigint"),
        ("shareWithResearchAsOfDate", "bigint"),
        ("shareWithPublicAsOfDate", "bigint"),
        ("shareWithFriendsAsOfDate", "bigint"),
    ],
    "accelerometer": [
        ("user", "string"),
        ("timestamp", "bigint"),
        ("x", "double"),
        ("y", "double"),
        ("z", "double"),
    ],
    "step_trainer": [
        ("sensorReadingTime", "bigint"),
        ("serialNumber", "string"),
        ("distanceFromObject", "bigint"),
    ],
}


def sql(quote, semi_join):
    """The query of each table, with the engine's quote character and its words for a left semi join."""
    queries = {
        "customer_trusted": """
            select * from customer_landing
            where `shareWithResearchAsOfDate` is not null and `shareWithResearchAsOfDate` <> 0""",
        "accelerometer_trusted": """
            select a.* from accelerometer_landing a SEMI JOIN customer_trusted c on a.`user` = c.email""",
        "customers_curated": """
            select c.* from customer_trusted c SEMI JOIN accelerometer_trusted a on c.email = a.`user`""",
        "step_trainer_trusted": """
            select s.* from step_trainer_landing s
            SEMI JOIN customers_curated c on s.`serialNumber` = c.`serialNumber`""",
        "machine_learning_curated": """
            select s.`serialNumber`, s.`sensorReadingTime`, s.`distanceFromObject`,
                   a.`user`, a.`timestamp`, a.x, a.y, a.z
            from step_trainer_trusted s
            join customers_curated c on s.`serialNumber` = c.`serialNumber`
            join accelerometer_trusted a on a.`user` = c.email and a.`timestamp` = s.`sensorReadingTime`""",
    }
    return {t: q.replace("SEMI JOIN", semi_join).replace("`", quote) for t, q in queries.items()}


def duckdb(landing, out, threads):
    import duckdb

    types = {"string": "VARCHAR", "bigint": "BIGINT", "double": "DOUBLE"}
    db = duckdb.connect()
    db.execute("set preserve_insertion_order=false")
    db.execute(f"set threads={threads}")
    for name in LANDING:
        columns = ", ".join(f"\"{c}\": '{types[t]}'" for c, t in COLUMNS[name])
        files = f"{landing}/{name}/landing/*.json"
        db.execute(
            f"create table {name}_landing as select * from "
            f"read_json('{files}', format='newline_delimited', columns={{{columns}}})"
        )
    rows = {}
    for table, query in sql('"', "semi join").items():
        db.execute(f"create table {table} as {query}")
        db.execute(f"copy {table} to '{out}/{table}.parquet' (format parquet, compression zstd)")
        rows[table] = db.execute(f"select count(*) from {table}").fetchone()[0]
    return rows


def polars(landing, out, threads):
    os.environ["POLARS_MAX_THREADS"] = str(threads)
    import polars as pl

    types = {"string": pl.String, "bigint": pl.Int64, "double": pl.Float64}

    def done(frame):
        return frame.collect(engine="streaming").lazy()

    read = {}
    for name in LANDING:
        schema = {c: types[t] for c, t in COLUMNS[name]}
        read[name] = done(pl.scan_ndjson(f"{landing}/{name}/landing/*.json", schema=schema))
    research = pl.col("shareWithResearchAsOfDate")
    trusted = done(read["customer"].filter(research.is_not_null() & (research != 0)))
    readings = done(read["accelerometer"].join(trusted, left_on="user", right_on="email", how="semi"))
    curated = done(trusted.join(readings, left_on="email", right_on="user", how="semi"))
    steps = done(read["step_trainer"].join(curated, on="serialNumber", how="semi"))
    pairs = (
        steps.join(curated.select("serialNumber", "email"), on="serialNumber")
        .join(readings.with_columns(sensorReadingTime=pl.col("timestamp")),
              left_on=["email", "sensorReadingTime"], right_on=["user", "sensorReadingTime"])
        .rename({"email": "user"})
    )
    rows = {}
    for table, frame in zip(TABLES, (trusted, readings, curated, steps, pairs)):
        frame = frame.collect(engine="streaming")
        frame.write_parquet(f"{out}/{table}.parquet", compression="zstd")
        rows[table] = frame.height
    return rows


def datafusion(landing, out, threads):
    import pyarrow as pa
    from datafusion import SessionConfig, SessionContext

    types = {"string": pa.string(), "bigint": pa.int64(), "double": pa.float64()}
    config = SessionConfig({"datafusion.sql_parser.enable_ident_normalization": "false"})
    context = SessionContext(config.with_target_partitions(threads))
    for name in LANDING:
        schema = pa.schema([(c, types[t]) for c, t in COLUMNS[name]])
        context.register_json(f"{name}_landing", f"{landing}/{name}/landing/", schema=schema, file_extension=".json")
    rows = {}
    for table, query in sql('"', "left semi join").items():
        batches = context.sql(query).collect()
        context.register_record_batches(table, [batches])
        context.table(table).write_parquet(f"{out}/{table}", compression="zstd", compression_level=3)
        rows[table] = sum(batch.num_rows for batch in batches)
    return rows


def spark(landing, out, threads):
    from pyspark.sql import SparkSession

    session = (
        SparkSession.builder.master(f"local[{threads}]")
        .config("spark.driver.memory", "8g")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.shuffle.partitions", "8")
        .config("spark.sql.parquet.compression.codec", "zstd")
        .getOrCreate()
    )
    session.sparkContext.setLogLevel("ERROR")
    for name in LANDING:
        schema = ", ".join(f"{c} {t}" for c, t in COLUMNS[name])
        session.read.schema(schema).json(f"{landing}/{name}/landing/").createOrReplaceTempView(f"{name}_landing")
    rows = {}
    # as the Glue jobs do: each job writes its zone, the next one reads it back
    for table, query in sql("`", "left semi join").items():
        session.sql(query).write.mode("overwrite").parquet(f"{out}/{table}")
        session.read.parquet(f"{out}/{table}").createOrReplaceTempView(table)
        rows[table] = session.table(table).count()
    session.stop()
    return rows


def main():
    engine, landing, out, threads = sys.argv[1:5]
    shutil.rmtree(out, ignore_errors=True)
    os.makedirs(out)
    engines = {"duckdb": duckdb, "polars": polars, "datafusion": datafusion, "spark": spark}
    print(json.dumps({"rows": engines[engine](landing, out, int(threads))}))


if __name__ == "__main__":
    main()
