"""What cannot be published: the commit stays, the message says what to do, and publishing can be repeated."""

from .scene import Scene, has
from .server import GlueProxy, Rule

DENIED = (400, "AccessDeniedException")
ALWAYS = 10**6


def committed_but_not_published(scene, *words, glue=None, args=()):
    done = scene.code(1, "run", *scene.to_catalog, *args, glue=glue)
    has(done.stderr, "the commit stands", f"stedi publish --lake {scene.lake} --catalog glue", *words)
    assert scene.commits() == 1, "the commit stays"
    # nobody is told what a person's data is, whatever goes wrong
    assert "@" not in done.stderr, done.stderr


def a_database_that_is_missing_and_may_not_be_made(server, binaries):
    scene = Scene(server, binaries)
    with GlueProxy(server, Rule("CreateDatabase", times=ALWAYS, error=DENIED)) as glue:
        committed_but_not_published(scene, f"there is no database {scene.database}", "glue:CreateDatabase", glue=glue)
        scene.code(1, "publish", *scene.to_catalog, glue=glue)
    assert scene.shown() == [None] * 8
    scene.ok("publish", *scene.to_catalog)
    assert scene.shown() == [1] * 8


def no_permission_for_a_table(server, binaries):
    scene = Scene(server, binaries)
    for action in ("CreateTable", "GetTable"):
        with GlueProxy(server, Rule(action, "accelerometer_trusted", times=ALWAYS, error=DENIED)) as glue:
            committed_but_not_published(
                scene, f"no permission for glue:{action} on table {scene.database}.accelerometer_trusted", "docs/iam", glue=glue
            )
    assert scene.shown() == [1] * 4 + [None] * 4
    scene.ok("publish", *scene.to_catalog)
    with GlueProxy(server, Rule("UpdateTable", "customer_trusted", times=ALWAYS, error=DENIED)) as glue:
        done = scene.code(1, "run", *scene.to_catalog, "--force", glue=glue)
        has(done.stderr, "the commit stands", "glue:UpdateTable")
        assert glue.count("UpdateTable") == 4, "a refusal is not asked again"
    assert scene.commits() == 2
    scene.ok("publish", *scene.to_catalog)
    assert scene.shown() == [2] * 8


def a_table_of_another_kind(server, binaries):
    kinds = {
        "a VIRTUAL_VIEW": {"TableType": "VIRTUAL_VIEW", "ViewOriginalText": "/* Presto View: e30= */"},
        "table_type=ICEBERG": {"TableType": "EXTERNAL_TABLE", "Parameters": {"table_type": "ICEBERG"}},
        "OpenCSVSerde": {
            "TableType": "EXTERNAL_TABLE",
            "StorageDescriptor": {"SerdeInfo": {"SerializationLibrary": "org.apache.hadoop.hive.serde2.OpenCSVSerde"}},
        },
    }
    for found, table in kinds.items():
        scene = Scene(server, binaries, generate=("--customers", "5"))
        scene.glue.create_database(DatabaseInput={"Name": scene.database})
        scene.glue.create_table(DatabaseName=scene.database, TableInput={"Name": "customers_curated", **table})
        before = scene.table("customers_curated")
        words = (f"table {scene.database}.customers_curated is left as it is", found, "rename or drop it")
        committed_but_not_published(scene, *words)
        has(scene.code(1, "publish", *scene.to_catalog, "--adopt").stderr, found)
        assert scene.table("customers_curated") == before
        assert scene.comparison()["tables"]["customers_curated"]["status"] == "foreign"
        scene.glue.delete_table(DatabaseName=scene.database, Name="customers_curated")
        scene.ok("publish", *scene.to_catalog)
        assert scene.shown() == [1] * 8


def a_table_of_another_lake(server, binaries):
    scene = Scene(server, binaries)
    scene.run()
    # the same database, another lake
    other = f"s3://{scene.bucket}/other"
    scene.ok("generate", "--customers", "5", lake=other)
    done = scene.code(1, "run", *scene.to_catalog, lake=other)
    has(done.stderr, f"outside the lake {other}", "--adopt takes it over")
    assert scene.shown() == [1] * 8
    assert scene.table("customer_landing")["Parameters"]["stedi.lake"] == scene.lake
    scene.ok("publish", *scene.to_catalog, "--adopt", lake=other)
    assert scene.table("customer_landing")["Parameters"]["stedi.lake"] == other
    # and a lake that was made anew, whose log begins again
    scene.ok("run", "--force", lake=other)
    scene.ok("publish", *scene.to_catalog, lake=other)
    for item in scene.s3.list_objects_v2(Bucket=scene.bucket, Prefix="other/_stedi/log/")["Contents"]:
        scene.s3.delete_object(Bucket=scene.bucket, Key=item["Key"])
    done = scene.code(1, "run", *scene.to_catalog, "--force", lake=other)
    has(done.stderr, "it shows commit 2 of run", "the lake's log has no such commit", "--adopt")
    scene.ok("publish", *scene.to_catalog, "--adopt", lake=other)
    assert scene.shown() == [1] * 8


def a_column_of_another_type(server, binaries):
    scene = Scene(server, binaries)
    scene.run()

    def change(table):
        table["StorageDescriptor"]["Columns"][1]["Type"] = "string"

    scene.edit("accelerometer_trusted", change)
    done = scene.code(1, "publish", *scene.to_catalog)
    has(done.stderr, "its column timestamp is string, not bigint", "--replace-columns")
    scene.ok("publish", *scene.to_catalog, "--replace-columns")
    assert scene.table("accelerometer_trusted")["StorageDescriptor"]["Columns"][1]["Type"] == "bigint"


def a_lake_in_a_folder_is_refused_before_the_run(server, binaries):
    scene = Scene(server, binaries, generate=())
    folder = scene.folder()
    for command in ("run", "publish", "rollback"):
        has(scene.code(1, command, *scene.to_catalog, lake=folder).stderr, "is not in S3", "s3://bucket/prefix")
    assert scene.json("history", lake=folder)["commits"] == []


def options_that_make_no_sense(server, binaries):
    scene = Scene(server, binaries, generate=())
    has(scene.code(2, "run", "--catalog", "glue").stderr, "--database")
    has(scene.code(2, "run", "--catalog", "hive", "--database", "a").stderr, "unknown catalog `hive`", "glue")
    has(scene.code(2, "run", "--catalog", "glue", "--database", "A.b").stderr, "no database name")
    has(scene.code(2, "verify", "--athena", "primary").stderr, "--database")
    has(scene.code(1, "publish").stderr, "--catalog glue --database")
    has(scene.code(1, "publish", *scene.to_catalog).stderr, "nothing was ever committed")


def a_catalog_that_is_not_there(server, binaries):
    scene = Scene(server, binaries, generate=("--customers", "5"))
    scene.ok("run")
    # nobody listens on port 1
    done = scene.code(1, "tables", *scene.to_catalog, environment={"AWS_ENDPOINT_URL_GLUE": "http://127.0.0.1:1"})
    has(done.stderr, "glue:GetTable cannot be reached", "AWS_ENDPOINT_URL")


CASES = (
    a_database_that_is_missing_and_may_not_be_made,
    no_permission_for_a_table,
    a_table_of_another_kind,
    a_table_of_another_lake,
    a_column_of_another_type,
    a_lake_in_a_folder_is_refused_before_the_run,
    options_that_make_no_sense,
    a_catalog_that_is_not_there,
)
