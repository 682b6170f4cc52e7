"""The request: from whatever JSON came in to a typed `Request`, or to errors that say what to change.

`request.schema.json` is the contract: fields, types, patterns (each with its words, `x-allowed`), aliases. What a
schema cannot say well (that fields go together, that a day exists, RDS's rules for names) is said here.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

from aurora_restore import names, setting_rules
from aurora_restore.database.queries import query_problem
from aurora_restore.engine.routes import refuse_borders
from aurora_restore.errors import (
    ConflictingFields,
    InvalidParameter,
    InvalidSnapshotDate,
    MissingParameter,
    MissingSource,
    NoCopyRoute,
    RestoreError,
    UnknownField,
    UnsupportedSnapshot,
)
from aurora_restore.living import NOTHING_COPIED, Copied
from aurora_restore.model import Origin, Request, iso, parse_time
from aurora_restore.settings import Settings

SCHEMA_FILE: Final = Path(__file__).with_name("request.schema.json")
MAX_TAGS: Final = 50  # AWS's limit for any resource
MAX_SHOWN: Final = 80  # characters of what was given that an error repeats

Fields = dict[str, Any]


@cache
def schema() -> Mapping[str, Any]:
    """The JSON Schema of the request."""
    loaded: Mapping[str, Any] = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    return loaded


@cache
def aliases() -> Mapping[str, str]:
    """Accepted other names, each with the field that it stands for."""
    return {alias: name for name, spec in schema()["properties"].items() for alias in spec.get("x-aliases", ())}


_ENDPOINT: Final = "db_cluster_endpoint_identifier"

# Ways to say what is restored; a request uses one of them.
WAYS: Final = ("snapshot_identifier", "snapshot_date", "snapshot_selector", "restore_to_time", "clone")


@dataclass(frozen=True)
class Parsed:
    """What became of what came in: a request that can be read, what is wrong with it, or both."""

    request: Request | None
    problems: tuple[RestoreError, ...] = ()
    origins: Mapping[str, Origin] = field(default_factory=dict)
    """Where each field of the request comes from."""


def settings_source(raw: object, defaults: object) -> tuple[str, str] | None:
    """The cluster that `copy_settings_from` names and the one it is for, if they can be told.

    What is wrong with what cannot, `parse` says.
    """
    ignored: list[RestoreError] = []
    fields = merge(*(_normalised(layer, "the request", ignored) for layer in (raw, defaults)))
    name, target = fields.get("copy_settings_from"), fields.get("target_cluster_id")
    pattern = schema()["properties"]["copy_settings_from"]["pattern"]
    if not isinstance(name, str) or not re.match(pattern, name) or not isinstance(target, str):
        return None
    return names.normal_identifier(name), names.normal_identifier(target)


def parse(
    raw: object,
    *,
    defaults: object,
    operation_id: str,
    settings: Settings,
    now: datetime,
    copied: Copied = NOTHING_COPIED,
) -> Parsed:
    """The request, beneath it what is copied of a living cluster, beneath that the deployment's defaults; and all that
    is wrong with it.

    A request that breaks only rules can still be read: the preflight adds to its problems what it finds, so that a
    person learns everything at once. One that does not fit the schema cannot.
    """
    problems: list[RestoreError] = list(copied.problems)
    given = _normalised(raw, "the request", problems)
    fallback = _normalised(defaults, "the deployment's defaults", problems)
    problems += [
        InvalidParameter(f"{name} cannot have a default: it is one operation's", field=name)
        for name in ("operation_id", "mode")
        if name in fallback
    ]
    between = {name: value for name, value in copied.fields.items() if name not in given}
    merged = merge(given, merge(between, fallback))
    origins: dict[str, Origin] = {
        name: "request" if name in given else "copied" if name in copied.fields else "defaults" for name in merged
    }
    unreadable = _schema_problems(merged, origins)
    if problems:
        # Fields that seem to be missing may be those that could not be read.
        return Parsed(None, (*problems, *(one for one in unreadable if not isinstance(one, MissingParameter))))
    problems += _source_problems(merged)
    if problems or unreadable:
        return Parsed(None, (*problems, *unreadable))

    account = merged.get("source_account_id", _arn_parts(merged).get("account", settings.account))
    request = Request.from_mapping(
        {
            # JSON knows one kind of number: 2.0 is a valid integer to a schema.
            **{name: int(value) if _whole(name, value) else value for name, value in merged.items()},
            "operation_id": operation_id,
            "target_cluster_id": names.normal_identifier(merged["target_cluster_id"]),
            **_source_cluster(merged),
            **_restore_time(merged),
            "copy_settings_from": copied.cluster,
            "custom_endpoints": [
                {**endpoint, _ENDPOINT: names.normal_identifier(endpoint[_ENDPOINT])}
                for endpoint in merged.get("custom_endpoints", ())
            ],
            "source_region": _source_region(merged, settings),
            "source_account_id": account if account != settings.account else None,
            "target_region": settings.region,
        }
    )
    return Parsed(request, tuple(_rule_problems(request, merged, settings, now)), origins)


def merge(given: Mapping[str, Any], defaults: Mapping[str, Any]) -> Fields:
    """The defaults beneath the request, field by field; null takes a default away.

    What says *what* is restored (a snapshot, a time, a clone) displaces what the defaults say of it, and an identifier
    needs no source cluster, an ARN no region or account: otherwise a default would turn a good request into a
    contradiction. Likewise the number of readers and the list of instances displace one another; and what is said for
    all instances holds for each of a list beneath it.
    """
    displaced: set[str] = set()
    if {name for name, value in given.items() if value is not False} & {*WAYS, "source_cluster_id"}:
        displaced |= {*WAYS}
    if "source_cluster_id" in given:
        displaced.add("source_cluster_resource_id")
    if "snapshot_identifier" in given:
        displaced |= {"source_cluster_id", "source_cluster_resource_id"}
    if _arn_parts(given):
        displaced |= {"source_region", "source_account_id"}
    if given.get("instances") is not None:
        displaced.add("readers")
    if given.get("readers") is not None:
        displaced.add("instances")
    beneath = {name: value for name, value in defaults.items() if name not in displaced}
    if isinstance(entries := beneath.get("instances"), list):
        beneath["instances"] = [
            {name: value for name, value in entry.items() if name not in given} if isinstance(entry, Mapping) else entry
            for entry in entries
        ]
    return {name: value for name, value in {**beneath, **given}.items() if value is not None}


def _normalised(raw: object, where: str, problems: list[RestoreError]) -> Fields:
    """Known names only, aliases replaced; what is wrong goes to ``problems``."""
    if not isinstance(raw, Mapping):
        problems.append(InvalidParameter(f"A JSON object is expected for {where}, not {_kind(raw)}"))
        return {}
    known = schema()["properties"]
    fields: Fields = {}
    for given, value in raw.items():
        name = aliases().get(given, given)
        if name not in known:
            nearest = (aliases().get(name, name) for name in _nearest(str(given), [*known, *aliases()]))
            hint = _did_you_mean(nearest) or "no field is like it."
            shown = _shortened(given)
            problems.append(UnknownField(f"{where[0].upper()}{where[1:]} has no field {shown!r}; {hint}", field=shown))
        elif name in fields and fields[name] != value:
            problems.append(ConflictingFields(f"{name!r} is given twice, once as {given!r}", field=name))
        else:
            fields[name] = value
    return fields


_SILENT: Final = frozenset({"id", "ids", "identifier", "name"})
"""Words of a field's name that say nothing of what it is."""


def _words(name: str) -> frozenset[str]:
    return frozenset(name.split("_")) - _SILENT


def _nearest(given: str, known: Sequence[str]) -> list[str]:
    """What a wrong name may stand for: one spelt almost alike, those with its words and fewest others, one spelt
    somewhat alike."""
    lowered = given.lower()
    if almost := difflib.get_close_matches(lowered, known, n=1, cutoff=0.85):
        return almost
    words = _words(lowered)
    others = {name: len(_words(name) - words) for name in known if words and words <= _words(name)}
    fewest = [name for name, count in others.items() if count == min(others.values())]
    return fewest[:3] or difflib.get_close_matches(lowered, known, n=1)


def _did_you_mean(fields: Iterable[str]) -> str | None:
    told = " or ".join(repr(name) for name in dict.fromkeys(fields))
    return f"did you mean {told}?" if told else None


def _whole(name: str, value: object) -> bool:
    return isinstance(value, float) and schema()["properties"][name].get("type") == "integer"


# --- rules ----------------------------------------------------------------------------------------------------------


def _source_problems(fields: Fields) -> Iterator[RestoreError]:
    ways = [way for way in WAYS if fields.get(way, False) is not False]
    if len(ways) > 1:
        yield ConflictingFields(
            f"Both {' and '.join(ways)} are given; a restore has one source",
            field=ways[-1],
            remedy="Keep one of them, and set a default that is in the way to null.",
        )
    elif ways == ["restore_to_time"]:
        if not fields.keys() & {"source_cluster_id", "source_cluster_resource_id"}:
            yield MissingSource(
                "restore_to_time is given without source_cluster_id or source_cluster_resource_id",
                field="source_cluster_id",
            )
    elif ways and ways != ["snapshot_identifier"] and "source_cluster_id" not in fields:
        yield MissingSource(f"{ways[0]} is given without source_cluster_id", field="source_cluster_id")
    elif "source_cluster_id" in fields and not ways:
        yield MissingSource(
            "source_cluster_id is given without snapshot_date, snapshot_selector, restore_to_time or clone: a source "
            "cluster alone does not say what of it is restored",
            field="snapshot_date",
        )
    elif not ways:
        yield MissingSource("The request names no snapshot", field="snapshot_identifier")


def _rule_problems(request: Request, fields: Fields, settings: Settings, now: datetime) -> Iterator[RestoreError]:
    """Rules on a request that fits the schema."""
    target = fields["target_cluster_id"]
    if problem := names.identifier_problem(target):
        yield InvalidParameter(
            f"target_cluster_id {target!r} is not a cluster identifier: {problem}. Allowed: {names.IDENTIFIER_RULES}",
            field="target_cluster_id",
        )
    if day := fields.get("snapshot_date"):
        yield from _date_problems(day, now)
    if "snapshot_identifier" in fields:
        yield from _snapshot_problems(fields)
    yield from _arn_conflicts(fields)
    if "restore_to_time" in fields or fields.get("clone"):
        yield from _cluster_problems(fields, settings, now)
    if selector := fields.get("snapshot_selector"):
        yield from _selector_problems(selector, fields, settings)
    try:
        refuse_borders(_source_region(fields, settings), settings.region)
    except NoCopyRoute as problem:
        yield problem
    if fields.get("target_region", settings.region) != settings.region:
        yield InvalidParameter(
            f"target_region is {fields['target_region']}, but a deployment restores into its own region, "
            f"{settings.region}: its functions reach the database there",
            field="target_region",
            remedy=f"Leave target_region out, or use a deployment in {fields['target_region']}.",
        )
    yield from setting_rules.problems(request, settings)
    yield from _database_problems(fields, settings)
    tags = names.operation_tags(
        deployment=settings.deployment, operation_id="-", tags={**settings.tags, **request.all_tags}
    )
    if len(tags) > MAX_TAGS:
        yield InvalidParameter(
            f"With the deployment's own there would be {len(tags)} tags; AWS allows {MAX_TAGS}", field="tags"
        )


def _date_problems(day: str, now: datetime) -> Iterator[RestoreError]:
    try:
        parsed = date.fromisoformat(day)
    except ValueError:
        yield InvalidSnapshotDate(f"snapshot_date {day!r} is not a day of the calendar", field="snapshot_date")
        return
    if parsed > now.date():
        yield InvalidSnapshotDate(
            f"snapshot_date {day} lies in the future; it is {now.date().isoformat()} in UTC", field="snapshot_date"
        )


_ARN: Final = re.compile(
    r"arn:aws[a-z-]*:rds:(?P<region>[a-z0-9-]+):(?P<account>[0-9]{12}):(?P<kind>[a-z-]+):(?P<name>.+)"
)


def _arn_parts(fields: Mapping[str, Any]) -> dict[str, str]:
    """Of the ARN of the snapshot, or of the source cluster; empty for a name, or for what only begins like an ARN."""
    found = _ARN.fullmatch(str(fields.get("snapshot_identifier", fields.get("source_cluster_id"))))
    return found.groupdict() if found else {}


def _source_cluster(fields: Mapping[str, Any]) -> dict[str, str]:
    """The source cluster by its name, which an ARN ends with."""
    given = fields.get("source_cluster_id")
    return {"source_cluster_id": given.rpartition(":")[2]} if given else {}


def _restore_time(fields: Mapping[str, Any]) -> dict[str, str]:
    """The asked time in one form; one that does not exist stays as it is, and is refused."""
    given = fields.get("restore_to_time")
    moment = _moment(given) if given else None
    return {"restore_to_time": iso(moment)} if moment else {}


def _moment(text: str) -> datetime | None:
    try:
        return parse_time(text.upper())
    except ValueError:
        return None


def _source_region(fields: Mapping[str, Any], settings: Settings) -> str:
    region: str = fields.get("source_region", _arn_parts(fields).get("region", settings.region))
    return region


def _snapshot_problems(fields: Fields) -> Iterator[RestoreError]:
    snapshot = fields["snapshot_identifier"]
    if not snapshot.startswith("arn:"):
        return
    arn = _arn_parts(fields)
    if not arn:
        yield InvalidParameter(
            f"{snapshot!r} is not the ARN of a snapshot "
            "(arn:<partition>:rds:<region>:<account>:cluster-snapshot:<name>)",
            field="snapshot_identifier",
        )
        return
    if arn["kind"] != "cluster-snapshot":
        yield UnsupportedSnapshot(
            f"{snapshot} names a {arn['kind']}, not a cluster snapshot", field="snapshot_identifier"
        )


def _arn_conflicts(fields: Fields) -> Iterator[RestoreError]:
    whose = "snapshot" if "snapshot_identifier" in fields else "source cluster"
    arn = _arn_parts(fields)
    for name, told, has in (
        ("source_region", "in region", arn.get("region")),
        ("source_account_id", "of account", arn.get("account")),
    ):
        if has and fields.get(name, has) != has:
            yield ConflictingFields(f"{name} is {fields[name]}, but the {whose}'s ARN is {told} {has}", field=name)


def _cluster_problems(fields: Fields, settings: Settings, now: datetime) -> Iterator[RestoreError]:
    """Rules of a point in time and of a clone (AUG: Restoring a DB cluster to a specified time; Cloning a volume)."""
    text = fields.get("restore_to_time")
    region = _source_region(fields, settings)
    account = fields.get("source_account_id", _arn_parts(fields).get("account", settings.account))
    if text and text != "latest":
        moment = _moment(text)
        if moment is None:
            yield InvalidParameter(f"restore_to_time {text!r} is not a time of the calendar", field="restore_to_time")
        elif moment > now:
            yield InvalidParameter(
                f"restore_to_time {text} lies in the future; it is {iso(now)}", field="restore_to_time"
            )
    what = "A cluster can be restored to a point in time" if text else "A cluster can be cloned"
    if region != settings.region:
        yield ConflictingFields(
            f"{what} in its own region only; it is in {region}, the deployment in {settings.region}",
            field="source_region",
            remedy="Restore from a snapshot, which is copied from another region.",
        )
    if text and account != settings.account:
        yield ConflictingFields(
            f"{what} in its own account only; it is of {account}, the deployment of {settings.account}",
            field="source_account_id",
            remedy="Restore from a snapshot, or clone a cluster that the other account shares by AWS RAM.",
        )


def _selector_problems(selector: Fields, fields: Fields, settings: Settings) -> Iterator[RestoreError]:
    if selector.get("type") != "shared":
        return
    if fields.get("source_account_id", settings.account) == settings.account:
        # Any account may share a snapshot with this one, under any cluster's name.
        yield MissingParameter(
            "snapshot_selector.type is shared, but source_account_id does not say which other account shares it",
            field="source_account_id",
            remedy="Give source_account_id, the account that owns the shared snapshot.",
        )
    if selector.get("tags"):
        yield ConflictingFields(
            "snapshot_selector has tags beside type shared, but RDS shows a shared snapshot's tags to its owner only",
            field="snapshot_selector",
        )


def _database_problems(fields: Fields, settings: Settings) -> Iterator[RestoreError]:
    for name in ("users", "checks"):
        entries = fields.get(name) or ()
        if entries and not settings.database_enabled:
            yield ConflictingFields(
                f"The request has {name}, but this deployment has no database phase (database = null)",
                field=name,
                remedy=f"Leave {name} out, or give the module a 'database' object.",
            )
        seen: set[str] = set()
        for entry in entries:
            if entry["name"].lower() in seen:
                yield InvalidParameter(f"{name} has {entry['name']!r} twice", field=name)
            seen.add(entry["name"].lower())
    for ordinal, check in enumerate(fields.get("checks") or ()):
        if why := query_problem(check["sql"]):
            yield InvalidParameter(f"The SQL of the check {check['name']!r} {why}", field=f"checks.{ordinal}.sql")


# --- the schema -----------------------------------------------------------------------------------------------------


_TOLD_ORIGINS: Final[Mapping[Origin, str]] = {
    "defaults": " (from the deployment's defaults)",
    "copied": " (from the cluster in copy_settings_from)",
}


@cache
def _validator() -> Callable[[Any], Any]:
    import fastjsonschema  # only snapshot-check validates; no other function pays for it

    # The choice between the sources is left to `_source_problems`, whose words are clearer than those of a oneOf.
    rules = {name: value for name, value in schema().items() if name != "oneOf"}
    compiled: Callable[[Any], Any] = fastjsonschema.compile(rules, use_default=False, fast_fail=False)
    return compiled


def _schema_problems(fields: Fields, origins: Mapping[str, Origin]) -> list[RestoreError]:
    import fastjsonschema

    try:
        _validator()(fields)
    except fastjsonschema.JsonSchemaValuesException as error:
        return [_explain(single, origins) for single in error.errors]
    except fastjsonschema.JsonSchemaValueException as error:
        return [_explain(error, origins)]
    return []


def _explain(error: Any, origins: Mapping[str, Origin]) -> RestoreError:
    """Our error for the validator's: field, what is wrong, what is allowed."""
    path = [str(part) for part in error.path[1:]]
    field = ".".join(path) or None
    root = path[0] if path else ""
    origin = _TOLD_ORIGINS.get(origins.get(root, "request"), "")
    rule, allowed = error.rule, error.rule_definition

    if rule == "required":
        missing = [name for name in allowed if name not in error.value]
        where = f"{field}." if field else ""
        return MissingParameter(
            f"{', '.join(where + name for name in missing)} is missing{origin}", field=f"{where}{missing[0]}"
        )
    if rule == "additionalProperties" and isinstance(error.value, Mapping) and allowed is False:
        known = list(error.definition["properties"])
        unknown = [name for name in error.value if name not in known]
        hint = _did_you_mean(_nearest(unknown[0], known)) or f"allowed: {', '.join(known)}."
        shown = _shortened(unknown[0])
        return UnknownField(f"{field} has no field {shown!r}{origin}; {hint}", field=f"{field}.{shown}")
    if rule == "propertyNames":
        wrong = [_shortened(key) for key in error.value if not re.search(allowed["pattern"], key)]
        told = f"key{'s' if len(wrong) > 1 else ''} {', '.join(repr(key) for key in wrong)}"
        return InvalidParameter(f"{field} has the {told}{origin}; allowed: {allowed['x-allowed']}", field=field)
    kind = InvalidSnapshotDate if root == "snapshot_date" else InvalidParameter
    return kind(f"{field} is {_shown(error.value)}{origin}; {_allowed(error)}", field=field)


def _allowed(error: Any) -> str:
    rule, allowed = error.rule, error.rule_definition
    example = (error.definition or {}).get("examples", [None])[0]
    such_as = f", such as {json.dumps(example)}" if example is not None else ""
    match rule:
        case "type":
            kinds = allowed if isinstance(allowed, list) else [allowed]
            return f"it must be of type {' or '.join(kinds)}{such_as}"
        case "enum":
            return f"allowed: {', '.join(item if isinstance(item, str) else json.dumps(item) for item in allowed)}"
        case "minimum" | "minItems" | "minLength":
            return f"at least {allowed} is allowed{such_as}"
        case "exclusiveMinimum":
            return f"it must be above {allowed}{such_as}"
        case "maximum" | "maxItems" | "maxLength" | "maxProperties":
            return f"at most {allowed} is allowed{such_as}"
        case "multipleOf":
            return f"it must be a multiple of {allowed}{such_as}"
        case "uniqueItems":
            return "each item may occur once"
        case "oneOf":
            return "exactly one of 'equals' and 'at_least' is needed"
        case "pattern":
            return f"allowed: {error.definition['x-allowed']}{such_as}"
        case _:
            return f"it breaks the rule {rule!r}{such_as}"


def _shown(value: object) -> str:
    """The value as JSON, shortened; an object is not shown: a password may have been put into it by mistake."""
    if isinstance(value, Mapping) or (isinstance(value, list) and any(isinstance(item, Mapping) for item in value)):
        return "not as expected"
    return _shortened(json.dumps(value, default=str))


def _shortened(text: str) -> str:
    return text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 3]}..."


def _kind(value: object) -> str:
    kinds = {"str": "text", "list": "a list", "NoneType": "null", "bool": "a boolean", "int": "a number"}
    return kinds.get(type(value).__name__, type(value).__name__)
