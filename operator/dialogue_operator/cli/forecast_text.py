"""A forecast as a table for people and as JSON for programs."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal

from dialogue_operator.api.base import Json
from dialogue_operator.cli.forecast import Forecast, Moment

GIBIBYTE = 2**30
UNITS = (("h", 3600), ("m", 60), ("s", 1))


def as_table(found: Forecast, caveats: Sequence[str]) -> str:
    """A title, the stages, what it takes in all, and what may surprise."""
    rollout = found.model.spec.rollout
    lines = [_title(found)]
    if found.changed:
        lines.append(f"  changed: {', '.join(found.changed)}")
    if found.aside:
        lines.append(f"  changed, too, without a new revision: {', '.join(found.aside)}")
    if found.is_new and found.shares_pods:
        lines.append("  it differs in decoding alone and answers from the stable revision's pods: nothing has to start")
    if found.note:
        lines.append(f"  {found.note}")
    lines += ["", *_rows(found), ""]
    if found.is_new:
        lines.append(
            f"  at least {duration(found.total)} from ready pods to the end; pods, and the gates of each step, "
            f"may take {rollout.progress_deadline} more before the revision is given up"
        )
    lines += [f"  warning: {caveat}" for caveat in caveats]
    return "\n".join(lines) + "\n"


def _title(found: Forecast) -> str:
    model = found.model
    name, version = f"{model.namespace}/{model.name}", model.spec.model.version
    new = f"{found.new}{f' ({version})' if version else ''}"
    if found.first:
        return f"{name}: the first revision, {new}, has all traffic as soon as it is ready"
    if found.old is None:
        return f"{name}: {model.spec.rollout.strategy} of revision {new}, as any but the first, which has all traffic at once"
    if not found.is_new:
        return f"{name}: no new revision; {new} goes on"
    old = f"{found.old}{f' ({found.old_version})' if found.old_version else ''}"
    return f"{name}: {model.spec.rollout.strategy} from revision {old} to {new}"


HEAD = ("FROM", "FOR", "STAGE", "WEIGHT", "PODS", "CPU", "MEMORY", "REQUESTS/S", "GATES")


def _rows(found: Forecast) -> list[str]:
    table = [HEAD, *(_row(moment) for moment in found.moments)]
    widths = [max(len(row[column]) for row in table) for column in range(len(HEAD))]
    return [
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table
    ]


def _row(moment: Moment) -> tuple[str, ...]:
    pods = [f"{moment.count(who)} {who}" for who in dict.fromkeys(p.who for p in moment.pods) if moment.count(who)]
    return (
        "" if moment.starts is None else duration(moment.starts),
        duration(moment.lasts) if moment.lasts else "",
        moment.name,
        f"{moment.weight} %",
        " + ".join(pods),
        _number(sum((p.cpu for p in moment.pods), Decimal())),
        f"{_number(sum((p.memory for p in moment.pods), Decimal()) / GIBIBYTE)}Gi",
        "" if moment.rate is None else f">= {moment.rate:.2g}",
        ", ".join(moment.gates),
    )


def as_json(found: Forecast, caveats: Sequence[str]) -> Json:
    """Times in seconds, CPU in cores, memory in bytes."""
    model = found.model
    return {
        "namespace": model.namespace,
        "name": model.name,
        "strategy": model.spec.rollout.strategy,
        "stableRevision": found.old,
        "revision": found.new,
        "version": model.spec.model.version,
        "newRevision": found.is_new,
        "changed": list(found.changed),
        "changedWithoutNewRevision": list(found.aside),
        "sharesPods": found.shares_pods,
        "note": found.note,
        "totalSeconds": found.total.total_seconds(),
        "stages": [_stage(moment) for moment in found.moments],
        "warnings": list(caveats),
    }


def _stage(moment: Moment) -> Json:
    return {
        "name": moment.name,
        "startsAfterSeconds": None if moment.starts is None else moment.starts.total_seconds(),
        "holdSeconds": moment.lasts.total_seconds(),
        "weight": moment.weight,
        "gates": list(moment.gates),
        "minRequestsPerSecond": moment.rate,
        "pods": {who: moment.count(who) for who in dict.fromkeys(pods.who for pods in moment.pods)},
        "cpu": float(sum((pods.cpu for pods in moment.pods), Decimal())),
        "memory": int(sum((pods.memory for pods in moment.pods), Decimal())),
    }


def duration(span: timedelta) -> str:
    """`1h30m`, as the API writes it."""
    left, text = span.total_seconds(), ""
    for unit, seconds in UNITS:
        count, left = divmod(left, seconds)
        text += f"{int(count)}{unit}" if count else ""
    return text + (f"{round(left * 1000)}ms" if left else "") or "0s"


def _number(value: Decimal) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
