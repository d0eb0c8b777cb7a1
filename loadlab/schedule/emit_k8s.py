"""Jobs as CronJobs of Kubernetes, with loadlab.toml in a ConfigMap and secrets by their names."""

from __future__ import annotations

import json
from collections.abc import Iterator

from loadlab.schedule.emit import Place, canonical, comments, cron_of, head, secrets
from loadlab.schedule.jobs import Job, Schedule

_FOLDER = "/data"  # the image's own working directory
_GRACE_S, _SHORTEST_DEADLINE_S = 150, 10


def render(schedule: Schedule, place: Place) -> dict[str, str]:
    """One file: the ConfigMap, then a CronJob for each job."""
    about = comments(
        [
            "Written by `loadlab schedule emit k8s`. Keys come from a Secret named loadlab:",
            "  kubectl create secret generic loadlab --from-literal=LOADLAB_DB=postgresql://…",
            "A file in a container is gone with it, so LOADLAB_DB or [store].url must be a PostgreSQL.",
        ]
    )
    jobs = (_cronjob(job, place) for job in schedule.jobs)
    return {"loadlab-cronjobs.yaml": "---\n".join([about + _config_map(place), *jobs])}


def _config_map(place: Place) -> str:
    text = "".join(f"    {line}\n" if line.strip() else "\n" for line in place.toml.splitlines())
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: loadlab\ndata:\n  loadlab.toml: |\n{text}"


def _cronjob(job: Job, place: Place) -> str:
    return "".join(f"{line}\n" for line in _lines(job, place))


def _lines(job: Job, place: Place) -> Iterator[str]:
    yield from (f"# {line}" for line in head(job))
    if job.jitter:
        yield f"# jitter = {job.jitter:g}s is left out: a CronJob has none."
    yield from ("apiVersion: batch/v1", "kind: CronJob", "metadata:", f"  name: loadlab-{job.name}", "spec:")
    yield f"  schedule: {json.dumps(canonical(cron_of(job)))}"
    yield f"  timeZone: {json.dumps(job.timezone)}"
    yield "  concurrencyPolicy: Forbid"
    if job.late_s is not None:
        yield f"  startingDeadlineSeconds: {max(_SHORTEST_DEADLINE_S, round(job.late_s))}"
    yield from ("  successfulJobsHistoryLimit: 3", "  failedJobsHistoryLimit: 3")
    yield from ("  jobTemplate:", "    spec:", "      backoffLimit: 0")
    if job.at_most is not None:
        yield f"      activeDeadlineSeconds: {round(job.at_most + job.wait) + _GRACE_S}"
    yield from ("      template:", "        spec:", "          restartPolicy: Never")
    yield f"          terminationGracePeriodSeconds: {_GRACE_S}"
    yield from (
        "          automountServiceAccountToken: false",
        "          containers:",
        "            - name: loadlab",
    )
    yield f"              image: {json.dumps(place.image)}"
    yield f"              args: {json.dumps(['schedule', 'trigger', job.name])}"
    yield f"              workingDir: {_FOLDER}"
    yield from _environment(secrets(job, place.config))
    # The file alone is mounted, so that reports can be written beside it.
    yield "              volumeMounts:"
    yield f"                - {{name: config, mountPath: {_FOLDER}/loadlab.toml, subPath: loadlab.toml}}"
    yield from (
        "          volumes:",
        "            - name: config",
        "              configMap: {name: loadlab}",
    )


def _environment(names: list[str]) -> Iterator[str]:
    if names:
        yield "              env:"
    for name in names:
        optional = "" if name == "LOADLAB_DB" else ", optional: true"
        yield f"                - name: {name}"
        yield "                  valueFrom:"
        yield f"                    secretKeyRef: {{name: loadlab, key: {name}{optional}}}"
