"""What publishing does when nothing goes wrong."""

from .scene import CURATED, LANDING, PARQUET, TABLES, Scene, has
from .server import GlueProxy

# of shared step trainers, so that the two kinds of matching differ
LEGACY = ("--profile", "legacy", "--customers", "60")


def a_run_publishes_what_athena_reads(server, binaries):
    scene = Scene(server, binaries)
    run = scene.run()
    assert scene.shown() == [1] * 8
    for name in CURATED:
        table = scene.table(name)
        storage = table["StorageDescriptor"]
        assert storage["Location"] == run["tables"][name]["location"] + "/", storage["Location"]
        assert storage["SerdeInfo"]["SerializationLibrary"] == PARQUET
        assert table["PartitionKeys"] == [] and table["TableType"] == "EXTERNAL_TABLE"
        assert table["Parameters"]["stedi.run_id"] == run["run_id"]
        assert table["Parameters"]["parquet.compression"] == "ZSTD"
        assert scene.count(name) == run["tables"][name]["rows"] > 0, name
    for name in LANDING:
        assert scene.table(name)["StorageDescriptor"]["Location"].endswith("/landing/")
        assert scene.count(name) == run["landing"][name]["rows"] > 0, name
    assert scene.comparison()["in_step"] is True


def the_next_run_moves_the_tables_and_leaves_the_old_parts(server, binaries):
    scene = Scene(server, binaries)
    first = scene.run()
    second = scene.run("--match", "timestamp", "--compression", "snappy")
    assert scene.shown() == [2] * 8
    name = "machine_learning_curated"
    table = scene.table(name)
    assert table["Parameters"]["parquet.compression"] == "SNAPPY"
    assert scene.count(name) == second["tables"][name]["rows"]
    old = first["tables"][name]["location"].removeprefix(f"s3://{scene.bucket}/")
    assert scene.s3.list_objects_v2(Bucket=scene.bucket, Prefix=old + "/")["KeyCount"] > 0, "queries may still read them"


def nothing_to_do_writes_nothing(server, binaries):
    scene = Scene(server, binaries)
    scene.run()
    with GlueProxy(server) as glue:
        assert scene.run(glue=glue)["status"] == "unchanged"
        assert scene.json("publish", *scene.to_catalog, glue=glue)["tables"] == dict.fromkeys(TABLES, "unchanged")
        assert glue.count("GetTable") > 0 and glue.count("UpdateTable") + glue.count("CreateTable") == 0


def what_others_keep_in_a_table_stays(server, binaries):
    scene = Scene(server, binaries)
    scene.run()

    def change(table):
        table["Owner"], table["Description"] = "research", "ours"
        table["Parameters"]["retention"] = "7y"
        table["StorageDescriptor"]["Columns"][0]["Comment"] = "as we call it"
        table["StorageDescriptor"]["Columns"].append({"Name": "note", "Type": "string"})
        table["StorageDescriptor"]["Parameters"] = {"team": "steps"}

    scene.edit("customer_trusted", change)
    scene.run("--force")
    table = scene.table("customer_trusted")
    assert scene.shown() == [2] * 8
    assert (table["Owner"], table["Description"], table["Parameters"]["retention"]) == ("research", "ours", "7y")
    columns = table["StorageDescriptor"]["Columns"]
    assert columns[0]["Comment"] == "as we call it" and columns[-1]["Name"] == "note"
    assert table["StorageDescriptor"]["Parameters"] == {"team": "steps"}


def a_schema_gains_a_column(server, binaries):
    scene = Scene(server, binaries)
    scene.run()

    def drop(table):
        del table["StorageDescriptor"]["Columns"][2]

    name = "accelerometer_trusted"
    scene.edit(name, drop)
    assert scene.comparison()["tables"][name]["status"] == "behind"
    scene.ok("publish", *scene.to_catalog)
    columns = [column["Name"] for column in scene.table(name)["StorageDescriptor"]["Columns"]]
    assert columns == ["user", "timestamp", "y", "z", "x"], columns
    assert scene.query(f"SELECT count(x) FROM {name}")[0] == [str(scene.count(name))]
    scene.ok("publish", *scene.to_catalog, "--replace-columns")
    columns = [column["Name"] for column in scene.table(name)["StorageDescriptor"]["Columns"]]
    assert columns == ["user", "timestamp", "x", "y", "z"], columns


def a_rollback_is_published(server, binaries):
    scene = Scene(server, binaries, generate=LEGACY)
    first = scene.run()
    scene.run("--match", "timestamp")
    rows = first["tables"]["machine_learning_curated"]["rows"]
    assert scene.count("machine_learning_curated") != rows, "the two runs must differ, or nothing is shown"
    scene.ok("rollback", *scene.to_catalog)
    assert scene.shown() == [3] * 8
    assert scene.count("machine_learning_curated") == rows
    assert scene.table("customer_trusted")["Parameters"]["stedi.run_id"] == first["run_id"]


def skew_is_flagged_and_mended(server, binaries):
    scene = Scene(server, binaries)
    scene.run()
    scene.ok("run", "--force")
    comparison = scene.comparison()
    assert comparison["in_step"] is False
    assert {table["status"] for table in comparison["tables"].values()} == {"behind"}
    has(scene.ok("tables", *scene.to_catalog).stdout, "SKEW", f"stedi publish --lake {scene.lake} --catalog glue")
    published = scene.json("publish", *scene.to_catalog)
    assert published["seq"] == 2 and set(published["tables"].values()) == {"updated"}
    comparison = scene.comparison()
    assert comparison["in_step"] is True and comparison["tables"]["customer_trusted"]["seq"] == 2
    assert "SKEW" not in scene.ok("tables", *scene.to_catalog).stdout


def landing_elsewhere_is_where_the_table_points(server, binaries):
    scene = Scene(server, binaries)
    elsewhere = f"s3://{scene.bucket}/team/lake/accelerometer/landing/"
    other = f"s3://{scene.bucket}/other"
    for name in ("customer", "step_trainer"):
        page = scene.s3.list_objects_v2(Bucket=scene.bucket, Prefix=f"team/lake/{name}/landing/")
        for item in page["Contents"]:
            source = {"Bucket": scene.bucket, "Key": item["Key"]}
            key = item["Key"].replace("team/lake", "other")
            scene.s3.copy_object(Bucket=scene.bucket, Key=key, CopySource=source)
    # as on the chart: a folder with a slash behind it, and the same one twice
    run = scene.run("--accelerometer-landing", elsewhere, "--accelerometer-landing", elsewhere, lake=other)
    location = scene.table("accelerometer_landing")["StorageDescriptor"]["Location"]
    assert location == elsewhere, location
    assert scene.count("accelerometer_landing") == run["landing"]["accelerometer_landing"]["rows"]
    has(scene.ok("ddl", lake=other).stdout, f"LOCATION '{elsewhere}'")
    # two places are none that a table can have
    two = ("--accelerometer-landing", elsewhere, "--accelerometer-landing", f"s3://{scene.bucket}/team/lake/step_trainer/landing")
    done = scene.ok("run", *scene.to_catalog, *two, "--max-bad-records", "100%", lake=other)
    has(done.stderr, "accelerometer_landing is left out: the run read it from 2 places")
    assert scene.shown() == [2, 1, 2, 2, 2, 2, 2, 2], scene.shown()
    assert scene.json("tables", *scene.to_catalog, lake=other)["catalog"]["in_step"] is True


def a_run_that_finds_nothing_to_do_publishes_what_nobody_did(server, binaries):
    scene = Scene(server, binaries)
    scene.ok("run")
    assert scene.run()["status"] == "unchanged"
    assert scene.shown() == [1] * 8


def what_the_catalog_shows_is_not_collected(server, binaries):
    scene = Scene(server, binaries)
    shown = scene.run()["run_id"]
    unseen = scene.json("run", "--force")["run_id"]
    scene.ok("run", "--force")
    everything_old = ("gc", "--keep", "1", "--grace", "0s")
    assert set(scene.json(*everything_old)["runs"]) == {shown, unseen}
    assert set(scene.json(*everything_old, *scene.to_catalog, "--delete")["runs"]) == {unseen}
    assert scene.count("customer_trusted") > 0
    scene.ok("publish", *scene.to_catalog)
    assert set(scene.json(*everything_old, *scene.to_catalog, "--delete")["runs"]) == {shown}
    assert scene.count("customer_trusted") > 0


CASES = (
    a_run_publishes_what_athena_reads,
    the_next_run_moves_the_tables_and_leaves_the_old_parts,
    nothing_to_do_writes_nothing,
    what_others_keep_in_a_table_stays,
    a_schema_gains_a_column,
    a_rollback_is_published,
    skew_is_flagged_and_mended,
    landing_elsewhere_is_where_the_table_points,
    a_run_that_finds_nothing_to_do_publishes_what_nobody_did,
    what_the_catalog_shows_is_not_collected,
)
