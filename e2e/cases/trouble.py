"""What cannot work ends in a failure that names the cause; what can work with more memory does."""

from machine import expect
from release import Release


def wrong_image(cluster, lake):
    """An image for workers that does not exist: the run fails, its Events name the image. 3 minutes."""
    image = "stedi.local/not-there:1"
    workers = {"pendingDeadline": "20s", "podTemplate": {"spec": {"containers": [{"name": "worker", "image": image}]}}}
    with Release(cluster, lake, "wrong-image", workers=workers, job={"backoffLimit": 0}) as release:
        run = release.run_now()
        run.expect_event("WorkerImage", image, seconds=60)
        run.expect_failed()
        run.expect_event("RunFailed", image)


def out_of_memory(cluster, lake):
    """Workers whose memory limit is too small for any task are killed: the tables are made on larger ones. 3 minutes."""
    lake.make_landing("large", customers=10000, days=3, objects={})
    limit = "22Mi"
    workers = {
        "memory": "256MiB",
        "highMemory": "512Mi",
        "resources": {"requests": {"cpu": "50m", "memory": limit}, "limits": {"memory": limit}},
    }
    with Release(cluster, lake, "memory", landing="large", workers=workers) as release:
        run = release.run_now()
        run.expect_event("WorkerOutOfMemory", seconds=60)
        run.expect_event("WorkersCreated", "high-memory", seconds=60)
        run.expect_committed(seconds=120)


CASES = [wrong_image, out_of_memory]
