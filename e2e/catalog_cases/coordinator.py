"""The same with a coordinator and a worker."""

import contextlib
import json
import pathlib
import signal
import socket
import subprocess
import tempfile

from .scene import CURATED, Scene, has
from .server import GlueProxy, Rule

SECONDS_MAX = 120
POLICIES = pathlib.Path(__file__).resolve().parents[2] / "docs" / "iam"


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextlib.contextmanager
def distributed(scene, *args, environment=None):
    """A coordinator, waited for, beside a worker."""
    address = f"127.0.0.1:{free_port()}"
    command, clean = scene.command(
        "stedi-coordinator", "run", "--listen", address, "--json", *scene.to_catalog, *args, environment=environment
    )
    worker = [scene.binaries / "stedi-worker", "--coordinator", f"http://{address}", "--threads", "1"]
    quiet = {"env": {**clean, "STEDI_FAULT": ""}, "stdin": subprocess.DEVNULL}
    with subprocess.Popen(worker, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **quiet) as helper:
        try:
            done = subprocess.run(
                command, env=clean, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SECONDS_MAX
            )
            yield done
        finally:
            helper.kill()


def a_coordinator_publishes_what_it_commits(server, binaries):
    scene = Scene(server, binaries)
    with distributed(scene) as done:
        assert done.returncode == 0, done.stderr
    assert scene.shown() == [1] * 8
    commit = scene.json("tables")
    for name in CURATED:
        assert scene.count(name) == commit["tables"][name]["rows"] > 0


def a_coordinator_that_died_before_it_published_is_replaced(server, binaries):
    scene = Scene(server, binaries)
    with distributed(scene, environment={"STEDI_FAULT": "table_published:4"}) as done:
        assert done.returncode == -signal.SIGKILL, done.stderr
    assert scene.commits() == 1 and scene.shown() == [1] * 4 + [None] * 4, scene.shown()
    with distributed(scene) as done:
        assert done.returncode == 0, done.stderr
    assert scene.commits() == 1 and scene.shown() == [1] * 8


def a_coordinator_whose_catalog_refuses_has_committed(server, binaries):
    scene = Scene(server, binaries)
    scene.glue.create_database(DatabaseInput={"Name": scene.database})
    scene.glue.create_table(
        DatabaseName=scene.database, TableInput={"Name": "customer_landing", "TableType": "VIRTUAL_VIEW"}
    )
    with distributed(scene) as done:
        assert done.returncode == 1, done.stderr
        has(done.stderr, "the commit stands", "customer_landing", "VIRTUAL_VIEW", "stedi publish")
    assert scene.commits() == 1


def a_coordinator_of_a_folder_is_refused(server, binaries):
    scene = Scene(server, binaries, generate=())
    folder = scene.folder()
    command, environment = scene.command(
        "stedi-coordinator", "run", "--listen", f"127.0.0.1:{free_port()}", *scene.to_catalog, lake=folder
    )
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=SECONDS_MAX)
    assert done.returncode == 1, done.stderr
    has(done.stderr, "is not in S3")


def doctor(scene, code, *args, glue=None):
    command, environment = scene.command("stedi-coordinator", "doctor", "--json", *scene.to_catalog, *args, glue=glue)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=SECONDS_MAX)
    assert done.returncode == code, f"{done.stdout}\n{done.stderr}"
    return {check["check"]: check for check in json.loads(done.stdout)["checks"]}


def the_doctor_looks_at_the_catalog(server, binaries):
    scene = Scene(server, binaries)
    seen = doctor(scene, 0)
    asked = f"glue:GetTable {scene.database}.customer_trusted"
    assert seen[asked]["state"] == "ok" and "not there yet" in seen[asked]["detail"], seen
    with GlueProxy(server, Rule("GetTable", "customer_trusted", times=10, error=(400, "AccessDeniedException"))) as glue:
        seen = doctor(scene, 1, glue=glue)
    assert seen[asked]["state"] == "failed" and "no permission for glue:GetTable" in seen[asked]["detail"], seen
    assert scene.shown() == [None] * 8, "a doctor changes nothing"


def the_doctor_checks_policies(server, binaries):
    scene = Scene(server, binaries)
    names = {
        "PREFIX": "team/lake",
        "BUCKET": scene.bucket,
        "REGION": "us-east-1",
        "ACCOUNT": "000000000000",
        "DATABASE": scene.database,
        "WORKGROUP": "primary",
        "RESULTS": "answers",
    }
    with tempfile.TemporaryDirectory() as folder:

        def policies(change=lambda text: text):
            for role in ("coordinator", "worker", "reader"):
                text = (POLICIES / f"{role}.json").read_text()
                for word, name in names.items():
                    text = text.replace(word, name)
                path = pathlib.Path(folder, f"{role}.json")
                path.write_text(change(text))
                yield f"--policy={role}={path}"

        seen = doctor(scene, 0, *policies())
        for role in ("coordinator", "worker", "reader"):
            assert "what is needed here, and no more" in seen[f"policy of the {role}"]["detail"], seen
        seen = doctor(scene, 1, *policies(lambda text: text.replace('"s3:PutObject", ', "").replace("answers/*", "*")))
        assert f"lacks s3:PutObject on arn:aws:s3:::{scene.bucket}/team/lake/_stedi/*" in seen["policy of the coordinator"]["detail"]
        assert "allows more than is needed here: s3:GetBucketLocation on arn:aws:s3:::*" in seen["policy of the reader"]["detail"]
        seen = doctor(scene, 1, f"--policy=worker={POLICIES / 'worker.json'}")
        assert "still has BUCKET, PREFIX" in seen["policy of the worker"]["detail"]


CASES = (
    a_coordinator_publishes_what_it_commits,
    a_coordinator_that_died_before_it_published_is_replaced,
    a_coordinator_whose_catalog_refuses_has_committed,
    a_coordinator_of_a_folder_is_refused,
    the_doctor_looks_at_the_catalog,
    the_doctor_checks_policies,
)
