"""What the cluster is made of. Versions of Go modules are in their go.mod files."""

import re

from machine import E2E

# Debian's packages and what is used of each; any other distribution's will do as well
PROGRAMS = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "catatonit": "catatonit",
    "unshare": "util-linux",
    "setpriv": "util-linux",
    "ip": "iproute2",
    "openssl": "openssl",
    "go": "golang-go, 1.24 or newer",
    "cargo": "rustup.rs",
}
CNI_PROGRAMS = ["bridge", "host-local", "loopback"]


def go_version(folder, module):
    """The version of a module that `folder` is built from."""
    text = (E2E / folder / "go.mod").read_text()
    return re.search(rf"^(?:require )?\s*{re.escape(module)} (v\S+)", text, re.M).group(1)


def kubernetes():
    return go_version("cluster", "k8s.io/kubernetes")


def etcd():
    return go_version("etcd", "go.etcd.io/etcd/server/v3")


def coredns():
    return go_version("dns", "github.com/coredns/coredns")
