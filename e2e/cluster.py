"""One Kubernetes node and its control plane, as plain processes in namespaces that `sandbox.py` made.

The addresses of the API server and of DNS are on the loopback device, so there is no kube-proxy; pods have no default
route. A bridge plugin enforces no NetworkPolicy: policies are accepted and not obeyed here.
"""

import contextlib
import signal
import subprocess

import cluster_files
from kube import Kube
from machine import Failure, run, say, tail, timed, wait_for

API_ADDRESS = "10.96.0.1"
DNS_ADDRESS = "10.96.0.10"
NODE_ADDRESS = "10.88.0.1"
NODE = "n1"
START_SECONDS = 90


class Cluster:
    """Brings everything up in order; `stop` takes it down in the other order."""

    def __init__(self, work, binaries, cni_folder):
        self.work = work
        self.binaries = binaries
        self.logs = work / "logs"
        self.processes = []
        self.files = cluster_files.write(work, cni_folder)
        self.kube = Kube(binaries, self.files["admin"], self.files["ca"], f"https://{API_ADDRESS}")

    def start(self):
        with timed("network, etcd and API server"):
            network()
            self.etcd()
            self.api_server()
        with timed("controllers, scheduler, DNS, containerd and kubelet"):
            self.controllers()
            self.containerd()
            self.kubelet()
            wait_for("the node is Ready", START_SECONDS, self.node_is_ready)

    def spawn(self, name, command, **options):
        """Starts a process whose output goes to a file of its name."""
        log = (self.logs / f"{name}.log").open("wb")
        command = [str(part) for part in command]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, **options)
        self.processes.append((name, process))
        return process

    def alive(self):
        """Fails if a process has ended, with its last words."""
        for name, process in self.processes:
            if process.poll() is not None:
                raise Failure(f"{name} ended with {process.returncode}: {tail(self.logs / f'{name}.log')}")
        return True

    def etcd(self):
        client, peer = "http://127.0.0.1:2379", "http://127.0.0.1:2380"
        self.spawn(
            "etcd",
            [self.binaries / "etcd", "--data-dir", self.work / "etcd", "--unsafe-no-fsync", "--log-level=warn"]
            + [f"--listen-client-urls={client}", f"--advertise-client-urls={client}"]
            + [f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}"]
            + [f"--initial-cluster=default={peer}"],
        )

    def kubernetes(self, name, *flags):
        return self.spawn(name, [self.binaries / "kubernetes", name, *flags])

    def api_server(self):
        files = self.files
        self.kubernetes(
            "kube-apiserver",
            "--etcd-servers=http://127.0.0.1:2379",
            f"--bind-address={API_ADDRESS}",
            "--secure-port=443",
            f"--advertise-address={NODE_ADDRESS}",
            "--service-cluster-ip-range=10.96.0.0/16",
            f"--tls-cert-file={files['api-cert']}",
            f"--tls-private-key-file={files['api-key']}",
            f"--client-ca-file={files['ca']}",
            f"--token-auth-file={files['tokens']}",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-account-key-file={files['service-account-key']}",
            f"--service-account-signing-key-file={files['service-account-key']}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--allow-privileged=true",
            # nobody resolves the node's name
            "--kubelet-preferred-address-types=InternalIP",
            "--default-not-ready-toleration-seconds=10",
            "--default-unreachable-toleration-seconds=10",
            "--profiling=false",
        )
        wait_for("the API server is ready", START_SECONDS, lambda: self.alive() and self.kube.get_raw("/readyz") == "ok")

    def controllers(self):
        self.kubernetes(
            "kube-controller-manager",
            f"--kubeconfig={self.files['kube-controller-manager']}",
            f"--service-account-private-key-file={self.files['service-account-key']}",
            f"--root-ca-file={self.files['ca']}",
            "--use-service-account-credentials=true",
            "--leader-elect=false",
            "--bind-address=127.0.0.1",
            "--node-monitor-period=2s",
            "--node-monitor-grace-period=20s",
        )
        self.kubernetes(
            "kube-scheduler",
            f"--kubeconfig={self.files['kube-scheduler']}",
            "--leader-elect=false",
            "--bind-address=127.0.0.1",
        )
        self.spawn("dns", [self.binaries / "dns", "-conf", self.files["corefile"]])

    def containerd(self):
        self.spawn("containerd", ["containerd", "--config", self.files["containerd"]])
        wait_for("containerd answers", 30, lambda: self.alive() and self.ctr("version"))

    def ctr(self, *words):
        return run(["ctr", "--namespace", "k8s.io", *words], timeout=120)

    def import_image(self, archive):
        self.ctr("images", "import", archive)

    def kubelet(self):
        self.kubernetes(
            "kubelet",
            f"--config={self.files['kubelet-config']}",
            f"--kubeconfig={self.files['kubelet']}",
            f"--hostname-override={NODE}",
            f"--node-ip={NODE_ADDRESS}",
            f"--cert-dir={self.work / 'pki'}",
        )

    def node_is_ready(self):
        self.alive()
        node = self.kube.get(f"/api/v1/nodes/{NODE}")
        conditions = {condition["type"]: condition["status"] for condition in node["status"].get("conditions", [])}
        return conditions.get("Ready") == "True"

    def first_pod(self, image):
        """One pause pod Running: if not even that works, nothing that follows would say anything."""
        pod = cluster_files.pause_pod(image)
        wait_for("the default service account", 30, lambda: self.kube.get(cluster_files.DEFAULT_ACCOUNT))
        self.kube.post("/api/v1/namespaces/default/pods", pod)
        path = f"/api/v1/namespaces/default/pods/{pod['metadata']['name']}"
        wait_for("the first pod runs", 60, lambda: self.kube.get(path)["status"]["phase"] == "Running")
        self.kube.delete(path, grace_seconds=0)

    @contextlib.contextmanager
    def stopped(self, name):
        """One of the processes stands still for a while, as if its machine did."""
        process = dict(self.processes)[name]
        process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            process.send_signal(signal.SIGCONT)

    def stop(self):
        """Deletes the namespaces that were made, then ends the processes. Whatever remains dies with the sandbox."""
        with contextlib.suppress(Failure), timed("deleting namespaces"):
            self.kube.delete_namespaces()
        for name, process in reversed(self.processes):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                say(f"{name} does not end: killed")
                process.kill()
                process.wait()

    def tails(self):
        """The last lines of every log."""
        return "\n".join(f"---- {path.name}\n{tail(path)}" for path in sorted(self.logs.glob("*.log")))


def network():
    """A bridge for pods, and the two service addresses that somebody serves."""
    for command in [
        "link set lo up",
        f"address add {API_ADDRESS}/32 dev lo",
        f"address add {DNS_ADDRESS}/32 dev lo",
        # an address of its own: without one a bridge takes the least of its ports', which changes as pods come and go, and
        # pods that know the old one reach neither the API server nor the store for half a minute
        "link add cni0 address 02:00:0a:58:00:01 type bridge",
        f"address add {NODE_ADDRESS}/16 dev cni0",
        "link set cni0 up",
    ]:
        run(["ip", *command.split()], timeout=10)
