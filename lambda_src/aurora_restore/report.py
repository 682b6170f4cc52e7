"""The plan for a person: as plain data for the execution's output, and as a table of text lines. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from aurora_restore import costs, durations
from aurora_restore.model import Plan, PlanStep, Request, SourceKind

if TYPE_CHECKING:
    from aurora_restore.plan_settings import Told

WIDTH: Final = 118
"""Characters of a line: what a console shows without a break. Only what has no space, a key's ARN, may be longer."""

_MIN_LAST: Final = 30


def of_plan(plan: Plan, request: Request, tags: Mapping[str, str]) -> dict[str, Any]:
    """What the execution of a plan puts out; ``tags`` are those of all that the operation would make.

    Nothing in it is a secret. Users, checks and the source account's role are left to the record.
    """
    from aurora_restore import plan_settings  # the only part that needs the table of settings: messages do without

    settings = plan_settings.settings(plan, request, tags)
    return {
        "target_cluster_id": plan.target_cluster_id,
        "source": {
            **source(plan),
            **_window(plan),
            "account": plan.snapshot_account,
            "region": plan.snapshot_region,
            "engine_version": plan.snapshot_engine_version,
            "encryption": plan.snapshot_key_kind.value,
            "kms_key_id": plan.snapshot_kms_key_id,
            "size_gib": plan.snapshot_size_gib or None,
        },
        "engine": plan.engine,
        "engine_version": plan.engine_version,
        "kms_key_id": plan.kms_key_id,
        "settings": {one.field: {"value": one.value, "origin": one.origin} for one in settings},
        "origins": dict(sorted(plan.origins.items())),
        "steps": [_step(step) for step in plan.steps],
        "expected_seconds": sum(step.expected_seconds for step in plan.steps),
        "learned_phases": list(plan.learned_phases),
        "costs": [{"name": item.name, "usd": item.usd, "basis": item.basis} for item in plan.costs],
        "notes": list(_notes(plan, request)),
        "warnings": list(plan.warnings),
        "table": table(plan, request, settings),
    }


def source(plan: Plan) -> dict[str, Any]:
    """What is restored, as plain data."""
    cluster = plan.source_cluster
    if cluster is None:
        return {
            "kind": plan.source_kind.value,
            "snapshot_arn": plan.snapshot_arn,
            "snapshot_created_at": plan.snapshot_created_at,
            "snapshot_kind": plan.snapshot_kind.value,
        }
    told = {"kind": plan.source_kind.value, "cluster_arn": cluster.arn, "cluster_resource_id": cluster.resource_id}
    if plan.source_kind is SourceKind.CLONE:
        return told
    return {**told, "deleted": cluster.deleted, "restore_to_time": cluster.restore_to or "latest"}


def _window(plan: Plan) -> dict[str, Any]:
    """Between which moments the source can be restored, where that is asked for; in UTC."""
    if plan.source_cluster is None or plan.source_kind is not SourceKind.POINT_IN_TIME:
        return {}
    return {"restorable_from": plan.source_cluster.earliest, "restorable_to": plan.source_cluster.latest}


def source_told(source: Mapping[str, Any]) -> str:
    """The same for a person."""
    match source["kind"]:
        case SourceKind.SNAPSHOT:
            return f"Snapshot: {source['snapshot_arn']} of {source['snapshot_created_at']}"
        case SourceKind.CLONE:
            return f"Clone of: {source['cluster_arn']}"
        case _:
            backups = " (deleted; from its retained backups)" if source["deleted"] else ""
            return f"Cluster:  {source['cluster_arn']}{backups} at {source['restore_to_time']}"


def _step(step: PlanStep) -> dict[str, Any]:
    return {
        "name": step.name,
        "action": step.action,
        "expected_seconds": step.expected_seconds,
        "account": step.account,
        "region": step.region,
        "key": step.key,
        "reason": step.reason,
    }


def _notes(plan: Plan, request: Request) -> Iterator[str]:
    """What is as it was asked for, and yet may surprise."""
    cluster, writer = plan.source_cluster, plan.writer.instance_class
    own = bool(request.instances and request.instances[0].db_instance_class)
    from_defaults = plan.origins.get("instances" if own else "db_instance_class") == "defaults"
    if cluster and cluster.writer_class not in (None, writer) and from_defaults:
        yield (
            f"The writer will be {writer}, which the deployment's defaults name; the source's writer is "
            f"{cluster.writer_class}. To have that, name it in the request."
        )


def table(plan: Plan, request: Request, settings: Sequence[Told]) -> list[str]:
    """The plan as lines of `WIDTH` characters or less."""
    total = sum(step.expected_seconds for step in plan.steps)
    key = plan.snapshot_kms_key_id or ""
    lines = [
        f"PLAN: restore {plan.target_cluster_id} in account {plan.target_account}, {plan.target_region}",
        *_source(plan),
        *_wrapped(f"          encryption {plan.snapshot_key_kind.value} {key}".rstrip(), indent=10),
        f"Engine:   {plan.engine} {_version(plan)}",
        *_wrapped(f"Key:      {plan.kms_key_id or 'one that AWS owns'}"),
        "",
        *_settings(plan, request, settings),
        "",
        *_rows(
            ["Step", "Expected", "Where", "What"],
            [
                [
                    step.name,
                    _duration(step),
                    " ".join(part for part in (step.account, step.region) if part),
                    _what(step),
                ]
                for step in plan.steps
            ],
        ),
        f"In all about {durations.told(total)}; AWS promises no times, and hours are normal for large snapshots.",
        *([f"Learned from earlier operations: {', '.join(plan.learned_phases)}."] if plan.learned_phases else []),
        "",
        *_rows(["Cost", "USD", "How"], [[item.name, _usd(item.usd), item.basis] for item in plan.costs]),
        f"List prices of {costs.PRICED_IN}, an estimate; other regions and discounts differ.",
    ]
    for heading, texts in (("Notes", list(_notes(plan, request))), ("Warnings", plan.warnings)):
        if texts:
            lines += ["", heading, *(line for text in texts for line in _item("- ", text))]
    return lines


def _source(plan: Plan) -> list[str]:
    size = f", {plan.snapshot_size_gib} GiB" if plan.snapshot_size_gib else ""
    if plan.source_cluster is None:
        return [
            *_wrapped(f"Snapshot: {plan.snapshot_arn}"),
            f"          {plan.snapshot_kind.value}, of {plan.snapshot_created_at}{size}",
        ]
    return [
        *_wrapped(source_told(source(plan))),
        f"          {plan.source_cluster.resource_id}{size}",
        *_restorable(plan),
    ]


def _restorable(plan: Plan) -> Iterator[str]:
    window = _window(plan)
    earliest, latest = window.get("restorable_from"), window.get("restorable_to")
    if earliest and latest:
        yield f"          can be restored to any time from {earliest} to {latest} (UTC)"


def _version(plan: Plan) -> str:
    if plan.engine_version == plan.snapshot_engine_version:
        return plan.engine_version
    kind = "major" if plan.major_upgrade else "minor"
    return f"{plan.snapshot_engine_version} to {plan.engine_version} ({kind} upgrade)"


def _settings(plan: Plan, request: Request, settings: Sequence[Told]) -> Iterator[str]:
    """One line for each, with what it is and who said so; those that are off together."""
    shown = [one for one in settings if not one.off]
    yield from _rows(
        ["Setting", "From", "Value"], [[one.label, one.origin, line] for one in shown for line in one.lines]
    )
    if off := [one.field for one in settings if one.off]:
        yield from _wrapped(f"Off:      {', '.join(off)}")
    if request.copy_settings_from:
        yield f"Copied:   from the cluster {request.copy_settings_from}"
    told = {one.field for one in settings} | {"readers", "tags", "cost_tags"}
    if others := [field for field, its in sorted(plan.origins.items()) if its == "defaults" and field not in told]:
        yield from _wrapped(f"Defaults: also {', '.join(others)}")


def findings_table(findings: Iterable[Mapping[str, Any]]) -> list[str]:
    """What an error tells of several findings (``details["findings"]``), each with its code, field and remedy."""
    lines: list[str] = []
    for number, finding in enumerate(findings, 1):
        field = f" [{finding['field']}]" if finding.get("field") else ""
        lines += _item(f"{number:>2}. ", f"{finding['code']} {finding['error']}{field}")
        lines += _item("    ", str(finding["cause"]))
        lines += _item("    -> ", str(finding["remedy"]))
    return lines


# --- text -----------------------------------------------------------------------------------------------------------


def _duration(step: PlanStep) -> str:
    return f"~ {durations.told(step.expected_seconds)}" if step.expected_seconds else "-"


def _what(step: PlanStep) -> str:
    key = f", under {step.key}" if step.key else ""
    reason = f". {step.reason}" if step.reason else ""
    return f"{step.action}{key}{reason}"


def _usd(usd: float | None) -> str:
    if usd is None:
        return "unknown"
    return f"{usd:.2f}" if usd >= 0.01 or usd == 0 else "< 0.01"


def _rows(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Columns as wide as their widest cell; the last one takes what is left, and wraps."""
    last = len(header) - 1
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(last)]
    left = sum(widths) + 2 * last
    for row in (header, ["-" * width for width in widths] + ["-" * len(header[last])], *rows):
        first = "  ".join(cell.ljust(width) for cell, width in zip(row[:last], widths, strict=True))
        told = _broken(row[last], max(WIDTH - left, _MIN_LAST))
        yield f"{first}  {told[0]}".rstrip()
        yield from (f"{' ' * left}{line}" for line in told[1:])


def _wrapped(text: str, indent: int = 10) -> list[str]:
    return _broken(text, WIDTH, subsequent=" " * indent)


def _item(mark: str, text: str) -> list[str]:
    return _broken(text, WIDTH, initial=mark, subsequent=" " * len(mark))


def _broken(text: str, width: int, *, initial: str = "", subsequent: str = "") -> list[str]:
    lines = textwrap.wrap(
        text,
        width,
        initial_indent=initial,
        subsequent_indent=subsequent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return lines or [initial.rstrip()]
