"""What publishing does when something goes wrong: rivals, crashes, lost answers, throttling."""

import signal

from .scene import TABLES, Scene, has
from .server import GlueProxy, Rule

THROTTLED = (400, "ThrottlingException")


def a_rival_who_edits_in_between_is_rebased_upon(server, binaries):
    """A real lost compare-and-swap: the server refuses our version, because somebody wrote after we read."""
    scene = Scene(server, binaries)
    scene.run()
    name = "accelerometer_trusted"
    edit = lambda: scene.edit(name, lambda table: table["Parameters"].update(team="steps"))  # noqa: E731
    with GlueProxy(server, Rule("UpdateTable", name, before=edit)) as glue:
        scene.run("--force", glue=glue)
        assert glue.count("UpdateTable") == 9, "one conflict, one update more"
    assert scene.shown() == [2] * 8
    assert scene.table(name)["Parameters"]["team"] == "steps"


def a_newer_run_that_overtakes_stays(server, binaries):
    scene = Scene(server, binaries)
    scene.run()
    rival = lambda: scene.run("--match", "timestamp")  # noqa: E731
    with GlueProxy(server, Rule("UpdateTable", "customers_curated", before=rival)) as glue:
        scene.run("--force", glue=glue)
    assert scene.commits() == 3
    assert scene.shown() == [3] * 8, "the slower publisher must not take the newer commit back"


def a_publisher_that_was_stopped_does_not_take_a_newer_commit_back(server, binaries):
    """It stands still between two tables while another run commits and publishes, and then goes on."""
    import subprocess
    import time

    scene = Scene(server, binaries)
    command, environment = scene.command(
        "stedi", "run", *scene.to_catalog, environment={"STEDI_FAULT": "table_published:4:stop"}
    )
    stopped = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        until = time.monotonic() + 120
        while scene.shown()[3] is None or state(stopped.pid) != "T":
            assert time.monotonic() < until and stopped.poll() is None, "it was to stop"
            time.sleep(0.05)
        scene.run("--match", "timestamp")
        assert scene.shown() == [2] * 8
        stopped.send_signal(signal.SIGCONT)
        _, said = stopped.communicate(timeout=120)
        assert stopped.returncode == 0, said
    finally:
        stopped.kill()
        stopped.wait()
    assert scene.shown() == [2] * 8


def state(pid):
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rpartition(")")[2].split()[0]


def a_crash_between_any_two_tables_is_finished(server, binaries):
    """Killed before the first table and after each: by turns the next run, which finds nothing to do, and `publish`."""
    for reached in range(9):
        scene = Scene(server, binaries, generate=("--customers", "5"))
        scene.run()
        fault = f"table_published:{reached}" if reached else "before_publish:2"
        killed = scene.stedi("run", *scene.to_catalog, "--force", environment={"STEDI_FAULT": fault_of(fault, reached)})
        assert killed.returncode == -signal.SIGKILL, (fault, killed.returncode, killed.stderr)
        assert scene.commits() == 2, "the commit comes first"
        assert scene.shown() == [2] * reached + [1] * (8 - reached), (reached, scene.shown())
        comparison = scene.comparison()
        assert comparison["in_step"] is (reached == 8)
        if reached % 2:
            scene.ok("publish", *scene.to_catalog)
        else:
            assert scene.run()["status"] == "unchanged"
        assert scene.shown() == [2] * 8
        assert scene.comparison()["in_step"] is True


def fault_of(fault, reached):
    # the run looks at the catalog once before it starts, and passes all points then, too
    return f"table_published:{8 + reached}" if reached else fault


def a_crash_is_rolled_forward_before_the_next_run(server, binaries):
    """Also if that run then fails: readers do not wait for it."""
    scene = Scene(server, binaries)
    scene.run()
    scene.stedi("run", *scene.to_catalog, "--force", environment={"STEDI_FAULT": "table_published:11"})
    assert scene.shown() == [2] * 3 + [1] * 5, scene.shown()
    scene.s3.put_object(Bucket=scene.bucket, Key="team/lake/customer/landing/bad.json", Body=b"no json\n" * 50)
    done = scene.code(3, "run", *scene.to_catalog)
    has(done.stderr, f"{scene.database} was behind; it shows commit 2 now")
    assert scene.shown() == [2] * 8


def a_lost_answer_is_read_back(server, binaries):
    scene = Scene(server, binaries)
    scene.run()
    rules = [Rule("UpdateTable", name, lose=True) for name in TABLES]
    with GlueProxy(server, *rules) as glue:
        scene.run("--force", glue=glue)
        assert glue.count("UpdateTable") == 8, "each was performed once, and none repeated"
    assert scene.shown() == [2] * 8
    versions = {scene.table(name)["VersionId"] for name in TABLES}
    assert versions == {"2"}, versions


def a_lost_answer_to_a_creation_is_read_back(server, binaries):
    scene = Scene(server, binaries)
    rules = [Rule("CreateDatabase", lose=True), Rule("CreateTable", "customer_trusted", lose=True)]
    with GlueProxy(server, *rules) as glue:
        scene.run(glue=glue)
    assert scene.shown() == [1] * 8


def throttling_is_waited_for(server, binaries):
    scene = Scene(server, binaries)
    scene.run()
    rules = [Rule(action, times=2, error=THROTTLED) for action in ("GetDatabase", "GetTable", "UpdateTable")]
    with GlueProxy(server, *rules) as glue:
        scene.run("--force", glue=glue)
        assert all(rule.hits == 2 for rule in rules)
    assert scene.shown() == [2] * 8


CASES = (
    a_rival_who_edits_in_between_is_rebased_upon,
    a_newer_run_that_overtakes_stays,
    a_publisher_that_was_stopped_does_not_take_a_newer_commit_back,
    a_crash_between_any_two_tables_is_finished,
    a_crash_is_rolled_forward_before_the_next_run,
    a_lost_answer_is_read_back,
    a_lost_answer_to_a_creation_is_read_back,
    throttling_is_waited_for,
)
