"""The server, and a proxy before it that fails on request."""

import contextlib
import http.client
import http.server
import json
import os
import pathlib
import shutil
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
import time

import botocore.session

SECONDS_TO_START = 60
SECONDS_TO_END = 10
# made up; the server takes any
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}


class Server:
    """ministack on a free port of 127.0.0.1, with S3, Glue, Athena, and what gives keys."""

    def __enter__(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="stedi-catalog-"))
        self.log = open(self.folder / "log", "w")
        # not ministack's own command, which listens on every address
        command = [sys.executable, "-m", "hypercorn", "ministack.app:app", "--bind", f"127.0.0.1:{self.port}"]
        environment = {
            **os.environ,
            "GATEWAY_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(self.port),
            "SERVICES": "s3,glue,athena,sts,iam",
            "S3_DATA_DIR": str(self.folder / "s3"),
            "TMPDIR": str(self.folder),
        }
        self.process = subprocess.Popen(
            [*command, "--keep-alive", "75"], env=environment, stdout=self.log, stderr=subprocess.STDOUT
        )
        try:
            self._wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _wait(self):
        until = time.monotonic() + SECONDS_TO_START
        while time.monotonic() < until and self.process.poll() is None:
            with contextlib.suppress(OSError):
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=1)
                connection.request("GET", "/_ministack/health")
                if connection.getresponse().status == 200:
                    return
            time.sleep(0.1)
        raise RuntimeError("the server does not start: " + (self.folder / "log").read_text()[-2000:])

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def environment(self):
        """What a client is told."""
        return {**KEYS, "AWS_ENDPOINT_URL": self.endpoint, "AWS_EC2_METADATA_DISABLED": "true"}

    def client(self, service):
        session = botocore.session.get_session()
        return session.create_client(
            service,
            region_name=KEYS["AWS_REGION"],
            endpoint_url=self.endpoint,
            aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
        )


class Rule:
    """What happens to the requests of an action, such as UpdateTable, about a table; `skip` of them pass before, `times`
    are met by it.

    `error`: an answer instead of the server's, as (status, code). `lose`: the server's answer is thrown away and the
    connection closed. `before`: called before the request goes on.
    """

    def __init__(self, action, table=None, *, skip=0, times=1, error=None, lose=False, before=None):
        self.action, self.table, self.skip, self.times = action, table, skip, times
        self.error, self.lose, self.before = error, lose, before
        self.hits = 0

    def meets(self, action, body):
        if action != self.action or (self.table and self.table != table_of(body)) or self.hits >= self.times:
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        self.hits += 1
        return True


def table_of(body):
    return body.get("Name") or body.get("TableInput", {}).get("Name")


class GlueProxy:
    """Stands before the server's Glue: counts requests by action, and does what rules say."""

    def __init__(self, server, *rules):
        self.rules, self.seen, self.lock = list(rules), [], threading.Lock()
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                proxy._handle(self, server)

            def log_message(self, *_):
                pass

        class Listener(socketserver.ThreadingMixIn, http.server.HTTPServer):
            daemon_threads = True

        self.listener = Listener(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self.listener.server_address[1]}"

    def __enter__(self):
        threading.Thread(target=self.listener.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.listener.shutdown()
        self.listener.server_close()

    def count(self, action):
        return sum(seen == action for seen, _ in self.seen)

    def _handle(self, request, server):
        text = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        body = json.loads(text or b"{}")
        action = request.headers.get("X-Amz-Target", "").split(".")[-1]
        with self.lock:
            self.seen.append((action, table_of(body)))
            rule = next((rule for rule in self.rules if rule.meets(action, body)), None)
        if rule and rule.before:
            rule.before()
        if rule and rule.error:
            status, code = rule.error
            return answer(request, status, json.dumps({"__type": code, "Message": "made up by a test"}).encode())
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        headers = {name: value for name, value in request.headers.items() if name.lower() != "host"}
        connection.request("POST", request.path, text, headers)
        reply = connection.getresponse()
        content = reply.read()
        connection.close()
        if rule and rule.lose:
            request.close_connection = True
            request.connection.shutdown(socket.SHUT_RDWR)
            return None
        return answer(request, reply.status, content)


def answer(request, status, content):
    request.send_response(status)
    request.send_header("Content-Type", "application/x-amz-json-1.1")
    request.send_header("Content-Length", str(len(content)))
    request.end_headers()
    request.wfile.write(content)
