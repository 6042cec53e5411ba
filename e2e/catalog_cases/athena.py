"""`stedi verify --athena`, and the queries of docs/athena.md."""

import os
import pathlib
import re

from .scene import CURATED, LANDING, TABLES, Scene, has

WORKSPACE = pathlib.Path(__file__).resolve().parent.parent.parent
# the public starter data, which is not part of the repository
STARTER = pathlib.Path(os.environ.get("STEDI_STARTER_LANDING") or WORKSPACE.parent / "shared" / "landing")


def verify(scene, code=0, *args):
    import json

    output = ("--athena-output", f"s3://{scene.bucket}/results/")
    database = ("--database", scene.database)
    done = scene.code(code, "verify", "--athena", "primary", *database, *output, "--json", *args)
    return json.loads(done.stdout)


def statuses(report):
    return {(check["table"], check["counts"]): check["status"] for check in report["checks"]}


def athena_sees_the_commit(server, binaries):
    for profile in ("clean", "legacy"):
        scene = Scene(server, binaries, generate=("--profile", profile, "--customers", "60"))
        scene.tidy()
        for options in ((), ("--consent", "any", "--match", "timestamp")):
            run = scene.run(*options)
            report = verify(scene)
            assert report["status"] == "verified", (profile, options, report)
            counted = {check["table"]: check["found"] for check in report["checks"] if check["counts"] == "rows"}
            assert counted == {name: run["tables"][name]["rows"] for name in CURATED} | {
                name: run["landing"][name]["rows"] - run["landing"][name]["quarantined"] for name in LANDING
            }
            assert report["scanned_bytes"] > 0
            strangers = [check for check in report["checks"] if check["counts"] == "strangers"]
            assert [check["table"] for check in strangers] == list(CURATED)
    text = scene.ok(
        "verify", "--athena", "primary", "--database", scene.database, "--athena-output", f"s3://{scene.bucket}/r"
    ).stdout
    has(text, "SELECT count(*) FROM customer_trusted", "13 checks hold", "bytes scanned")


def athena_sees_the_starter_data(server, binaries):
    if not STARTER.is_dir():
        print(f"SKIPPED: the starter data is not at {STARTER} (STEDI_STARTER_LANDING names it)")
        return
    scene = Scene(server, binaries, generate=())
    scene.upload(STARTER)
    scene.run()
    report = verify(scene)
    assert report["status"] == "verified", report
    found = {check["table"]: check["found"] for check in report["checks"] if check["counts"] == "rows"}
    assert [found[name] for name in TABLES] == [956, 81273, 28680, 482, 40981, 482, 14460, 40981], found


def a_table_that_shows_other_parts_is_found_out(server, binaries):
    scene = Scene(server, binaries, generate=("--profile", "legacy", "--customers", "60"))
    scene.tidy()
    anybody = scene.run("--consent", "any")
    scene.run("--consent", "latest")
    wrong = anybody["tables"]["accelerometer_trusted"]["location"] + "/"

    def change(table):
        table["StorageDescriptor"]["Location"] = wrong

    scene.edit("accelerometer_trusted", change)
    report = verify(scene, 5)
    found = statuses(report)
    assert report["status"] == "broken"
    assert found["accelerometer_trusted", "rows"] == "broken"
    assert found["accelerometer_trusted", "strangers"] == "broken", "those who consent no more are strangers"
    broken = [check for check in report["checks"] if check["status"] == "broken"]
    assert len(broken) == 2 and all("stedi publish" in check["why"] for check in broken)
    scene.ok("publish", *scene.to_catalog)
    assert verify(scene)["status"] == "verified"


def landing_that_has_changed_is_said_to_have_changed(server, binaries):
    scene = Scene(server, binaries)
    scene.run()
    record = b'{"customerName":"A","email":"a@example.org","serialNumber":"s","shareWithResearchAsOfDate":1}\n'
    scene.s3.put_object(Bucket=scene.bucket, Key="team/lake/customer/landing/late.json", Body=record)
    report = verify(scene, 1)
    found = statuses(report)
    assert report["status"] == "incomplete"
    assert found["customer_landing", "rows"] == "unchecked"
    assert found["step_trainer_landing", "rows"] == "holds"
    assert {found[name, "strangers"] for name in CURATED} == {"unchecked"}
    assert all("landing has changed since the run" in check["why"] for check in report["checks"] if check.get("why"))
    scene.run()
    assert verify(scene)["status"] == "verified"


def a_table_that_is_missing_or_cannot_be_read_is_broken(server, binaries):
    scene = Scene(server, binaries)
    run = scene.run()
    scene.glue.delete_table(DatabaseName=scene.database, Name="customers_curated")
    found = statuses(verify(scene, 5))
    assert found["customers_curated", "rows"] == "broken" and found["customer_trusted", "rows"] == "holds"
    scene.ok("publish", *scene.to_catalog)
    part = run["tables"]["customer_trusted"]["location"].removeprefix(f"s3://{scene.bucket}/") + "/part-00000-000.parquet"
    scene.s3.put_object(Bucket=scene.bucket, Key=part, Body=b"not parquet")
    report = verify(scene, 5)
    check = next(check for check in report["checks"] if check["table"] == "customer_trusted")
    assert check["status"] == "broken" and check["found"] is None and "failed" in check["why"], check


def a_workgroup_without_a_place_for_results_is_named(server, binaries):
    scene = Scene(server, binaries, generate=("--customers", "5"))
    scene.run()
    done = scene.code(1, "verify", "--athena", "primary", "--database", scene.database)
    has(done.stderr, "athena:StartQueryExecution", "workgroup primary", "output location")


def queries():
    """The SQL of docs/athena.md, by the heading above it."""
    text = (WORKSPACE / "docs" / "athena.md").read_text()
    return re.findall(r"^### ([^\n]+)\n.*?```sql\n(.*?)```", text, re.DOTALL | re.MULTILINE)


def the_queries_of_the_manual_answer(server, binaries):
    scene = Scene(server, binaries, generate=("--customers", "60"))
    run = scene.run()
    rows = {name: run["tables"][name]["rows"] for name in CURATED}
    found = {heading: scene.query(sql.strip().rstrip(";")) for heading, sql in queries()}
    assert len(found) == 5, list(found)
    for heading, answer in found.items():
        assert answer and all(value is not None for value in answer[0]), (heading, answer)
    funnel, devices, day, features, gaps = found.values()
    # what the answers say must be what the commit says
    assert {name: int(count) for name, count in funnel} == {
        "1 customers who consent": rows["customer_trusted"],
        "2 of them with readings": rows["customers_curated"],
        "3 their app readings": rows["accelerometer_trusted"],
        "4 their step trainer readings": rows["step_trainer_trusted"],
        "5 pairs of both": rows["machine_learning_curated"],
    }, funnel
    counts = [int(row[1]) for row in devices]
    assert len(devices) <= 10 and counts == sorted(counts, reverse=True), devices
    assert sum(int(row[1]) for row in day) == rows["accelerometer_trusted"], day
    assert sum(int(row[1]) for row in features) == rows["machine_learning_curated"], features
    paired = scene.query("SELECT count(DISTINCT serialnumber) FROM machine_learning_curated")[0][0]
    assert len(gaps) == 1 and int(gaps[0][0]) == int(scene.query("SELECT count(DISTINCT serialnumber) FROM step_trainer_trusted")[0][0])
    assert int(gaps[0][1]) == int(paired), gaps


def an_earlier_run_can_be_queried(server, binaries):
    """The time travel of docs/athena.md: a second database that points at the parts of an earlier commit."""
    scene = Scene(server, binaries, generate=("--profile", "legacy", "--customers", "60"))
    first = scene.run()
    scene.run("--match", "timestamp")
    table = scene.table("machine_learning_curated")
    past = f"{scene.database}_past"
    scene.glue.create_database(DatabaseInput={"Name": past})
    fields = ("Name", "StorageDescriptor", "PartitionKeys", "TableType", "Parameters")
    table = {field: table[field] for field in fields}
    table["StorageDescriptor"]["Location"] = first["tables"]["machine_learning_curated"]["location"] + "/"
    scene.glue.create_table(DatabaseName=past, TableInput=table)
    then = int(scene.query(f"SELECT count(*) FROM {past}.machine_learning_curated")[0][0])
    assert then == first["tables"]["machine_learning_curated"]["rows"]
    assert then != scene.count("machine_learning_curated")


CASES = (
    athena_sees_the_commit,
    athena_sees_the_starter_data,
    a_table_that_shows_other_parts_is_found_out,
    landing_that_has_changed_is_said_to_have_changed,
    a_table_that_is_missing_or_cannot_be_read_is_broken,
    a_workgroup_without_a_place_for_results_is_named,
    the_queries_of_the_manual_answer,
    an_earlier_run_can_be_queried,
)
