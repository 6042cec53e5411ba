"""The API server, kubectl and helm, as the test's administrator."""

import json
import os
import ssl
import urllib.error
import urllib.request

from machine import Failure, run, wait_for

SYSTEM_NAMESPACES = {"default", "kube-system", "kube-public", "kube-node-lease"}
REQUEST_SECONDS = 30


class NotFound(Failure):
    """There is no such object (any more)."""


class Kube:
    """A client with every right."""

    def __init__(self, binaries, kubeconfig, ca, server):
        self.binaries = binaries
        self.kubeconfig = kubeconfig
        self.server = server
        config = json.loads(kubeconfig.read_text())
        self.token = config["users"][0]["user"]["token"]
        context = ssl.create_default_context(cafile=ca)
        # no proxy: the server is in the same network namespace as this process, and nothing else is
        handlers = [urllib.request.HTTPSHandler(context=context), urllib.request.ProxyHandler({})]
        self.opener = urllib.request.build_opener(*handlers)

    def request(self, method, path, body=None, content="application/json"):
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": content}
        request = urllib.request.Request(self.server + path, data=data, method=method, headers=headers)
        try:
            with self.opener.open(request, timeout=REQUEST_SECONDS) as response:
                return response.read().decode()
        except urllib.error.HTTPError as error:
            kind = NotFound if error.code == 404 else Failure
            raise kind(f"{method} {path}: {error.code} {error.read().decode()[:500]}") from error
        except OSError as error:
            raise Failure(f"{method} {path}: {error}") from error

    def get_raw(self, path):
        return self.request("GET", path)

    def get(self, path):
        return json.loads(self.request("GET", path))

    def find(self, path):
        """The object, or None."""
        try:
            return self.get(path)
        except NotFound:
            return None

    def items(self, path):
        return self.get(path)["items"]

    def post(self, path, body):
        return json.loads(self.request("POST", path, body))

    def patch(self, path, body):
        return json.loads(self.request("PATCH", path, body, "application/merge-patch+json"))

    def delete(self, path, grace_seconds=None):
        options = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        self.request("DELETE", path, options)

    def kubectl(self, *words, timeout=60):
        """kubectl as a person would call it."""
        return run([self.binaries / "kubectl", "--kubeconfig", self.kubeconfig, *words], timeout=timeout, env=self.env())

    def helm(self, *words, timeout=180):
        return run([self.binaries / "helm", "--kubeconfig", self.kubeconfig, *words], timeout=timeout, env=self.env())

    def env(self):
        """Both programs keep caches: beside the kubeconfig, not in somebody's home. And they use no proxy."""
        home = str(self.kubeconfig.parent / "home")
        kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        return {**kept, "HOME": home, "XDG_CACHE_HOME": f"{home}/.cache"}

    def listable_kinds(self):
        """Path prefix and plural of every kind of namespaced object that can be listed."""
        groups = [("/api/v1", self.get("/api/v1"))]
        for group in self.get("/apis")["groups"]:
            path = f"/apis/{group['preferredVersion']['groupVersion']}"
            groups.append((path, self.get(path)))
        for path, found in groups:
            for kind in found["resources"]:
                if kind["namespaced"] and "list" in kind["verbs"]:
                    yield path, kind["name"]

    def objects(self, namespace):
        """`kind/name` of everything in a namespace, of whatever kind."""
        return sorted(
            f"{kind}/{found['metadata']['name']}"
            for path, kind in self.listable_kinds()
            for found in self.items(f"{path}/namespaces/{namespace}/{kind}")
        )

    def delete_namespaces(self):
        """Deletes every namespace that a case has made, and waits for what is in them to be gone."""
        names = {space["metadata"]["name"] for space in self.items("/api/v1/namespaces")} - SYSTEM_NAMESPACES
        for name in names:
            self.delete(f"/api/v1/namespaces/{name}")
        for name in names:
            wait_for(f"namespace {name} is gone", 60, lambda name=name: self.find(f"/api/v1/namespaces/{name}") is None)
