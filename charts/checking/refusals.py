"""What must be refused, and how: a value that is misspelt or makes no sense must not be passed over."""

# (what is set, what the message says)
CASES = [
    (["workers.maxx=3"], "at '/workers': additional properties 'maxx' not allowed"),
    (["coordnator.resources=1"], "additional properties 'coordnator' not allowed"),
    (["run.landing.customers={s3://a}"], "at '/run/landing': additional properties 'customers' not allowed"),
    (["mode=deployment"], "at '/mode': value must be one of 'cronjob', 'job'"),
    (["run.consent=all"], "at '/run/consent': value must be one of 'latest', 'any'"),
    (["run.maxBadRecords=many"], "at '/run/maxBadRecords': 'many' does not match pattern"),
    (["run.maxBadRecords=5"], "at '/run/maxBadRecords': got number, want string"),
    (["run.memory=lots"], "at '/run/memory': 'lots' does not match pattern"),
    (["run.deadline=soon"], "at '/run/deadline': 'soon' does not match pattern"),
    (["run.shards=0"], "at '/run/shards': minimum: got 0, want 1"),
    (["workers.min=0"], "at '/workers/min': minimum: got 0, want 1"),
    (["workers.min=9"], "workers.min (9) is more than workers.max (8)"),
    (["kueue.queueName=q", "kueue.elastic=false"], "set kueue.elastic=true, or both to one number"),
    (["workers.resources.limits.memory=2GiB"], "at '/workers/resources/limits/memory': '2GiB' does not match pattern"),
    (["workers.resources.limits.memory=16000m"], "at '/workers/resources/limits/memory': '16000m' does not match pattern"),
    (["workers.memory=6gib"], "at '/workers/memory': '6gib' does not match pattern"),
    (["workers.memory=512m"], "at '/workers/memory': '512m' does not match pattern"),
    (["workers.memory=0GiB"], "at '/workers/memory': '0GiB' does not match pattern"),
    (["workers.highMemory=16000m"], "at '/workers/highMemory': '16000m' does not match pattern"),
    (["workers.highMemory=0Gi"], "at '/workers/highMemory': '0Gi' does not match pattern"),
    (["workers.resources.requests.cpu=null"], "workers.resources.requests.cpu is required"),
    (["workers.resources.limits.memory=null"], "workers.resources.limits.memory is required"),
    (["workers.terminationGracePeriodSeconds=5"], "at '/workers/terminationGracePeriodSeconds': minimum: got 5"),
    (["workers.podTemplate.metadata.name=x"], "at '/workers/podTemplate/metadata': additional properties 'name'"),
    (["coordinator.podDisruptionBudget.minAvailable=50%"], "minAvailable': got string, want integer"),
    (["cronjob.schedule=at three"], "at '/cronjob/schedule': 'at three' does not match pattern"),
    (["cronjob.startingDeadlineSeconds=5"], "at '/cronjob/startingDeadlineSeconds': minimum: got 5, want 10"),
    (["metrics.prometheusRule.runAgeMaxSeconds=null"], "at '/metrics/prometheusRule': missing property 'runAgeMaxSeconds'"),
    (["job.nameSuffix=much-too-long"], "at '/job/nameSuffix': 'much-too-long' does not match pattern"),
    (["image.digest=sha256:12"], "at '/image/digest': 'sha256:12' does not match pattern"),
    (["image.repository="], "image.repository is required: build the image"),
    (["lake="], "lake is required: the lake's URI"),
    (["lake=http://bucket"], "at '/lake': 'http://bucket' does not match pattern"),
    (["tls.mode=secret"], "tls.existingSecret is required with tls.mode=secret"),
    (["tls.mode=cert-manager"], "tls.issuer.name is required with tls.mode=cert-manager"),
    (["aws.secretKey=x"], "at '/aws': additional properties 'secretKey' not allowed"),
    (["fullnameOverride=1-run"], "set fullnameOverride to a name that begins with a letter"),
]


def refusals(helm, values):
    """Yields what was not refused, or not in those words."""
    for settings, expected in CASES:
        words = [word for setting in settings for word in ("--set", setting)]
        said = helm.refusal(values, *words)
        if said is None:
            yield f"{' '.join(settings)} is not refused"
        elif expected not in said:
            yield f"{' '.join(settings)} is refused otherwise: {said.strip()}"
    said = helm.refusal(values, "--kube-version", "1.32.9")
    if said is None or "requires kubeVersion" not in said:
        yield f"Kubernetes 1.32 is not refused: {said}"
