"""The files of the cluster: keys, tokens, configuration. Good for one run on one machine and for nothing else."""

import json
import secrets

from machine import run

GROUPS = {
    "admin": ("admin", "system:masters"),
    "kube-controller-manager": ("system:kube-controller-manager", ""),
    "kube-scheduler": ("system:kube-scheduler", ""),
    "kubelet": ("system:node:n1", "system:nodes"),
}
API_URL = "https://10.96.0.1"
NODE_ADDRESS = "10.88.0.1"
DNS_ADDRESS = "10.96.0.10"
PAUSE_IMAGE = "stedi.local/pause:1"
CGROUP = "/stedi-e2e"
DEFAULT_ACCOUNT = "/api/v1/namespaces/default/serviceaccounts/default"

NAMES = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local", "localhost"]
ADDRESSES = ["10.96.0.1", NODE_ADDRESS, "127.0.0.1"]


def write(work, cni_folder):
    """Writes all of them below `work`; returns the path of each by its name."""
    for name in ("pki", "logs", "cni"):
        (work / name).mkdir(parents=True, exist_ok=True)
    files = keys(work / "pki")
    files |= credentials(work, files["ca"])
    contents = {
        "corefile": (work / "Corefile", corefile(files["admin"])),
        "containerd": (work / "containerd.toml", containerd(work, cni_folder)),
        "cni": (work / "cni" / "10-bridge.conflist", json.dumps(bridge())),
        "resolv": (work / "resolv.conf", f"nameserver {DNS_ADDRESS}\n"),
        "kubelet-config": (work / "kubelet.json", json.dumps(kubelet(work / "resolv.conf"))),
    }
    for name, (path, text) in contents.items():
        path.write_text(text)
        files[name] = path
    return files


def keys(folder):
    """One CA, the API server's certificate, the key that signs the tokens of service accounts."""
    names = [f"DNS:{name}" for name in NAMES] + [f"IP:{address}" for address in ADDRESSES]
    extensions = folder / "extensions"
    extensions.write_text(
        f"subjectAltName={','.join(names)}\nbasicConstraints=CA:FALSE\nkeyUsage=digitalSignature\n"
        "extendedKeyUsage=serverAuth,clientAuth\n"
    )
    new = ["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    ca, ca_key, request = folder / "ca.pem", folder / "ca-key.pem", folder / "api.csr"
    cert, key, account = folder / "api.pem", folder / "api-key.pem", folder / "service-account.pem"
    run([*new, "-x509", "-days", "2", "-subj", "/CN=stedi-e2e", "-keyout", ca_key, "-out", ca], timeout=30)
    run([*new, "-subj", "/CN=kube-apiserver", "-keyout", key, "-out", request], timeout=30)
    sign = ["openssl", "x509", "-req", "-days", "2", "-CA", ca, "-CAkey", ca_key, "-CAcreateserial"]
    run([*sign, "-in", request, "-extfile", extensions, "-out", cert], timeout=30)
    run(["openssl", "genrsa", "-out", account, "2048"], timeout=30)
    return {"ca": ca, "api-cert": cert, "api-key": key, "service-account-key": account}


def credentials(work, ca):
    """A token and a kubeconfig for each program that speaks to the API server."""
    files, rows = {}, []
    for name, (user, group) in GROUPS.items():
        token = secrets.token_hex(16)
        rows.append(f'{token},{user},{user},"{group}"\n')
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "e2e", "cluster": {"server": API_URL, "certificate-authority": str(ca)}}],
            "users": [{"name": user, "user": {"token": token}}],
            "contexts": [{"name": "e2e", "context": {"cluster": "e2e", "user": user}}],
            "current-context": "e2e",
        }
        files[name] = work / f"{name}.kubeconfig"
        files[name].write_text(json.dumps(config))
        files[name].chmod(0o600)
    files["tokens"] = work / "tokens.csv"
    files["tokens"].write_text("".join(rows))
    files["tokens"].chmod(0o600)
    return files


def corefile(kubeconfig):
    # as in any cluster, pods find a name of theirs only once it is there: a short time to live keeps a restart short
    return f"""cluster.local:53 {{
    bind {DNS_ADDRESS}
    errors
    kubernetes cluster.local {{
        kubeconfig {kubeconfig}
        ttl 2
    }}
}}
"""


def containerd(work, cni_folder):
    return f"""version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  # a machine without CAP_SYS_RESOURCE may not lower a score
  restrict_oom_score_adj = true
  disable_apparmor = true
[plugins."io.containerd.grpc.v1.cri".containerd]
  snapshotter = "overlayfs"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
  SystemdCgroup = false
[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "{cni_folder}"
  conf_dir = "{work}/cni"
"""


def bridge():
    """Pods reach the node, its service addresses and each other, and nothing else: there is no default route."""
    return {
        "cniVersion": "0.4.0",
        "name": "stedi-e2e",
        "plugins": [
            {
                "type": "bridge",
                "bridge": "cni0",
                "isGateway": True,
                "isDefaultGateway": False,
                "ipMasq": False,
                "hairpinMode": True,
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{"subnet": "10.88.0.0/16", "rangeStart": "10.88.1.0", "gateway": NODE_ADDRESS}]],
                    "routes": [{"dst": "10.96.0.0/16", "gw": NODE_ADDRESS}],
                },
            }
        ],
    }


def kubelet(resolv_conf):
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": NODE_ADDRESS,
        # whoever reaches this address is in the sandbox, and is root there
        "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
        "authorization": {"mode": "AlwaysAllow"},
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": CGROUP,
        "failCgroupV1": False,
        "failSwapOn": False,
        "clusterDNS": [DNS_ADDRESS],
        "clusterDomain": "cluster.local",
        "resolvConf": str(resolv_conf),
        # the disk and the memory of the machine are shared with others: their use of it must not evict a pod
        "evictionHard": {name: "0%" for name in ("nodefs.available", "nodefs.inodesFree", "imagefs.available")}
        | {"memory.available": "50Mi"},
        "imageGCHighThresholdPercent": 100,
        "makeIPTablesUtilChains": False,
        "maxOpenFiles": 20000,
        "nodeStatusUpdateFrequency": "4s",
        "nodeLeaseDurationSeconds": 10,
        "serializeImagePulls": True,
    }


def pause_pod(image):
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "first"},
        "spec": {
            "containers": [{"name": "pause", "image": image, "imagePullPolicy": "IfNotPresent"}],
            "terminationGracePeriodSeconds": 0,
        },
    }
