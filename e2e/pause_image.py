"""The image of the container that holds a pod's namespaces: one static program, as an OCI layout in a tar file."""

import hashlib
import io
import json
import pathlib
import shutil
import tarfile

PROGRAM = "catatonit"


def tar(entries):
    """A tar file of (name, mode, bytes), always the same for the same entries."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, mode, content in entries:
            entry = tarfile.TarInfo(name)
            entry.mode, entry.size = mode, len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def descriptor(kind, blob, **more):
    digest = "sha256:" + hashlib.sha256(blob).hexdigest()
    return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": digest, "size": len(blob), **more}


def write(target, name):
    """Writes the image to `target`; containerd imports it under `name`."""
    program = pathlib.Path(shutil.which(PROGRAM)).read_bytes()
    layer = tar([("pause", 0o755, program)])
    layer_of = descriptor("layer.v1.tar", layer)
    config = {
        "architecture": "amd64",
        "os": "linux",
        # with -P it only waits for a signal
        "config": {"Entrypoint": ["/pause", "-P"], "User": "65535:65535"},
        "rootfs": {"type": "layers", "diff_ids": [layer_of["digest"]]},
    }
    config = json.dumps(config).encode()
    config_of = descriptor("config.v1+json", config)
    manifest = json.dumps({"schemaVersion": 2, "config": config_of, "layers": [layer_of]}).encode()
    manifest_of = descriptor("manifest.v1+json", manifest, annotations={"io.containerd.image.name": name})
    index = json.dumps({"schemaVersion": 2, "manifests": [manifest_of]}).encode()
    blobs = [(of["digest"], blob) for of, blob in [(layer_of, layer), (config_of, config), (manifest_of, manifest)]]
    entries = [("oci-layout", 0o644, b'{"imageLayoutVersion": "1.0.0"}'), ("index.json", 0o644, index)]
    entries += [(f"blobs/{digest.replace(':', '/')}", 0o644, blob) for digest, blob in blobs]
    target.write_bytes(tar(entries))
