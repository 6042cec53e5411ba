"""What helm makes of the chart."""

import functools
import json
import pathlib
import re
import subprocess

import yaml

CHARTS = pathlib.Path(__file__).resolve().parent.parent
CHART = CHARTS / "stedi"
# what the end-to-end tests run; a release elsewhere renders the same
KUBERNETES = "1.34.4"
NAMESPACE = "curation"
OTHERS = ["monitoring.coreos.com/v1", "cert-manager.io/v1"]


class Helm:
    """Helm, away from what the user has configured."""

    def __init__(self, program, home):
        self.program = program
        self.env = {"PATH": "", "HOME": str(home), "KUBECONFIG": "/dev/null"}

    def run(self, *words):
        command = [self.program, *map(str, words)]
        return subprocess.run(command, capture_output=True, text=True, env=self.env, check=False)

    def must(self, *words):
        answer = self.run(*words)
        if answer.returncode != 0:
            raise Wrong(f"helm {' '.join(map(str, words))}: {answer.stderr.strip()}")
        return answer.stdout

    def template(self, values, *more, release="stedi", kubernetes=KUBERNETES):
        """The manifests as text."""
        versions = [word for version in OTHERS for word in ("--api-versions", version)]
        words = ["template", release, CHART, "--namespace", NAMESPACE, "--kube-version", kubernetes, *versions]
        return without_sources(self.must(*words, "--values", values, *more))

    def notes(self, values, *more, release="stedi"):
        """What a person reads after an installation."""
        words = ["install", release, CHART, "--namespace", NAMESPACE, "--dry-run=client", "--output", "json"]
        return json.loads(self.must(*words, "--values", values, *more))["info"]["notes"].strip() + "\n"

    def refusal(self, values, *more):
        """Why helm does not render it; None if it does."""
        answer = self.run("template", "stedi", CHART, "--values", values, *more)
        return answer.stderr if answer.returncode != 0 else None


class Wrong(Exception):
    """Something is not as it must be."""


def without_sources(text):
    """Manifests in the order of their kinds and names, which helm does not promise."""
    parts = [part.strip("\n") + "\n" for part in re.split(r"^---\n", text, flags=re.M) if part.strip()]
    return "---\n".join(sorted(parts, key=lambda part: identity(yaml.safe_load(part))))


def identity(manifest):
    return manifest["kind"], manifest["metadata"]["name"]


def documents(text):
    return [manifest for manifest in yaml.safe_load_all(text) if manifest]


@functools.cache
def cases():
    """The files of values, by the name of what they show."""
    files = sorted((CHART / "ci").glob("*-values.yaml"))
    return {path.name.removesuffix("-values.yaml"): path for path in files}
