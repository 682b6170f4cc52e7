import dataclasses
import json
from collections.abc import Iterator
from typing import Any

import fastjsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurora_restore import contract, errors
from aurora_restore.model import Request, SnapshotSelector
from tests.unit.core_support import NOW, request, settings


def parse(raw: Any, defaults: Any = None, **changes: Any) -> Request:
    parsed = contract.parse(raw, defaults=defaults or {}, operation_id="op", settings=settings(**changes), now=NOW)
    if parsed.problems:
        raise errors.together(parsed.problems)
    assert parsed.request is not None
    return parsed.request


def refusal(raw: Any, defaults: Any = None, **changes: Any) -> errors.RestoreError:
    with pytest.raises(errors.RestoreError) as caught:
        parse(raw, defaults, **changes)
    return caught.value


def test_a_minimal_request() -> None:
    parsed = parse(request(target_cluster_id="Orders-Staging"))
    assert parsed.target_cluster_id == "orders-staging"
    assert (parsed.operation_id, parsed.source_region, parsed.target_region) == ("op", "eu-west-1", "eu-west-1")
    assert (parsed.readers, parsed.deletion_protection) == (0, False)


def test_the_schema_its_examples_and_the_request_agree() -> None:
    schema = contract.schema()
    fields = {field.name: field for field in dataclasses.fields(Request)}
    assert set(schema["properties"]) == set(fields)
    for name, spec in schema["properties"].items():
        assert spec["description"].endswith(".")
        if "default" in spec:
            assert fields[name].default == spec["default"]
        validate = fastjsonschema.compile({**spec, "$schema": schema["$schema"]})
        for example in spec["examples"]:
            validate(example)


def _patterns(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict) and isinstance(schema.get("pattern"), str):
        yield schema
    for part in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        yield from _patterns(part)


def test_every_pattern_has_words_which_are_what_is_told_of_it() -> None:
    found = list(_patterns(contract.schema()))
    assert len(found) == contract.SCHEMA_FILE.read_text(encoding="utf-8").count('"pattern":')
    for spec in found:
        assert spec["x-allowed"]
        assert not set("^[]{}\\|") & set(spec["x-allowed"])


def test_a_full_request_survives_its_record() -> None:
    parsed = parse(
        request(
            db_instance_class="db.serverless",
            serverless_v2_scaling={"min_capacity": 0.5, "max_capacity": 8},
            readers=2.0,
            users=[{"name": "app", "access": "read_write", "databases": ["shop"]}],
            checks=[
                {"name": "a", "database": "shop", "sql": "SELECT 1", "equals": 1},
                {"name": "b", "database": "shop", "sql": "SELECT 1", "at_least": 0.5},
            ],
            tags={"team": "orders"},
            enable_cloudwatch_logs_exports=["postgresql"],
        )
    )
    assert parsed.readers == 2
    assert isinstance(parsed.readers, int)
    assert Request.from_mapping(json.loads(json.dumps(parsed.to_mapping()))) == parsed


@pytest.mark.parametrize(("alias", "name"), sorted(contract.aliases().items()))
def test_aliases(alias: str, name: str) -> None:
    value = contract.schema()["properties"][name]["examples"][0]
    raw = request(snapshot_identifier=None, source_cluster_id="orders", snapshot_date="2026-11-22")
    if name == "snapshot_identifier":
        raw = request(snapshot_identifier=None)
    raw.pop(name, None)
    expected = tuple(value) if isinstance(value, list) else value
    assert getattr(parse({**raw, alias: value}), name) == expected
    assert type(refusal({**raw, alias: value, name: "other"})) is errors.ConflictingFields


def test_the_aliases_of_the_original_system() -> None:
    assert contract.aliases() == {
        "snapshot_name": "snapshot_identifier",
        "snapshot_id": "snapshot_identifier",
        "date": "snapshot_date",
        "source_snapshot_date": "snapshot_date",
        "db_cluster_resource_id": "source_cluster_resource_id",
        "new_db_cluster_identifier": "target_cluster_id",
        "security_group_ids": "vpc_security_group_ids",
    }


ARN = "arn:aws:rds:us-east-1:210987654321:cluster-snapshot:rds:orders-2026-11-22-03-07"
BY_RULE = {"source_cluster_id": "orders", "snapshot_selector": {"latest": True}}

POINT = {"snapshot_identifier": None, "source_cluster_id": "orders", "restore_to_time": "2026-11-22T08:00:00Z"}
CLONE = {"snapshot_identifier": None, "source_cluster_id": "orders", "clone": True}
CLUSTER_ARN = "arn:aws:rds:us-east-1:210987654321:cluster:orders"

BAD: list[tuple[dict[str, Any], type[errors.RestoreError], str, str]] = [
    ({"snapshot_identifer": "x"}, errors.UnknownField, "snapshot_identifer", "'snapshot_identifier'"),
    ({"zzzz": 1}, errors.UnknownField, "zzzz", "no field is like it"),
    ({"snapshot_identifier": None}, errors.MissingSource, "snapshot_identifier", "no snapshot"),
    ({"snapshot_date": "2026-11-22"}, errors.ConflictingFields, "snapshot_date", "one source"),
    (
        {"snapshot_identifier": None, "snapshot_date": "2026-11-22"},
        errors.MissingSource,
        "source_cluster_id",
        "without",
    ),
    ({"snapshot_identifier": None, "source_cluster_id": "c"}, errors.MissingSource, "snapshot_date", "alone"),
    ({"db_instance_class": None}, errors.MissingParameter, "db_instance_class", "missing"),
    ({"restore_to_time": "latest"}, errors.ConflictingFields, "restore_to_time", "one source"),
    ({"clone": True}, errors.ConflictingFields, "clone", "one source"),
    ({**POINT, "clone": True}, errors.ConflictingFields, "clone", "one source"),
    ({**POINT, "snapshot_date": "2026-11-22"}, errors.ConflictingFields, "restore_to_time", "one source"),
    ({**POINT, "source_cluster_id": None}, errors.MissingSource, "source_cluster_id", "resource_id"),
    ({**CLONE, "source_cluster_id": None}, errors.MissingSource, "source_cluster_id", "clone is given without"),
    (
        {**POINT, "restore_to_time": "yesterday"},
        errors.InvalidParameter,
        "restore_to_time",
        "allowed: latest, or a time",
    ),
    ({**POINT, "restore_to_time": "2026-11-22T08:00:00"}, errors.InvalidParameter, "restore_to_time", "its zone"),
    ({**POINT, "restore_to_time": "2026-11-31T08:00:00Z"}, errors.InvalidParameter, "restore_to_time", "calendar"),
    ({**POINT, "restore_to_time": "2026-11-23T09:00:01Z"}, errors.InvalidParameter, "restore_to_time", "future"),
    ({**POINT, "source_region": "us-east-1"}, errors.ConflictingFields, "source_region", "own region"),
    ({**CLONE, "source_region": "us-east-1"}, errors.ConflictingFields, "source_region", "own region"),
    ({**POINT, "source_account_id": "210987654321"}, errors.ConflictingFields, "source_account_id", "own account"),
    (
        {**CLONE, "source_cluster_id": CLUSTER_ARN, "source_account_id": "123456789012", "source_region": "us-east-1"},
        errors.ConflictingFields,
        "source_account_id",
        "source cluster's ARN",
    ),
    ({**CLONE, "source_cluster_id": f"{CLUSTER_ARN}:x"}, errors.InvalidParameter, "source_cluster_id", "or its ARN"),
    ({"target_cluster_id": None}, errors.MissingParameter, "target_cluster_id", "missing"),
    ({"vpc_security_group_ids": None}, errors.MissingParameter, "vpc_security_group_ids", "missing"),
    ({"db_subnet_group_name": None}, errors.MissingParameter, "db_subnet_group_name", "missing"),
    ({"vpc_security_group_ids": []}, errors.InvalidParameter, "vpc_security_group_ids", "at least 1"),
    (
        {"vpc_security_group_ids": ["default"]},
        errors.InvalidParameter,
        "vpc_security_group_ids.0",
        "allowed: a security group's id, such as \"sg-",
    ),
    ({"target_cluster_id": "a--b"}, errors.InvalidParameter, "target_cluster_id", "two hyphens"),
    ({"target_cluster_id": "a-"}, errors.InvalidParameter, "target_cluster_id", "ends with a hyphen"),
    ({"target_cluster_id": "1a"}, errors.InvalidParameter, "target_cluster_id", "letter"),
    ({"target_cluster_id": "a" * 64}, errors.InvalidParameter, "target_cluster_id", "64 characters"),
    ({"target_cluster_id": ""}, errors.InvalidParameter, "target_cluster_id", "0 characters"),
    ({"readers": 16}, errors.InvalidParameter, "readers", "at most 15"),
    ({"readers": "1"}, errors.InvalidParameter, "readers", "integer"),
    ({"port": 80}, errors.InvalidParameter, "port", "at least 1150"),
    ({"deletion_protection": "yes"}, errors.InvalidParameter, "deletion_protection", "boolean"),
    ({"operation_id": "lock#1"}, errors.InvalidParameter, "operation_id", "allowed: letters, digits"),
    ({"db_instance_class": "db.serverless"}, errors.MissingParameter, "serverless_v2_scaling", "db.serverless"),
    (
        {"serverless_v2_scaling": {"min_capacity": 4, "max_capacity": 2}},
        errors.InvalidParameter,
        "serverless_v2_scaling",
        "above",
    ),
    ({"source_region": "Frankfurt"}, errors.InvalidParameter, "source_region", 'a region\'s name, such as "us-east-1"'),
    ({"source_region": "us-gov-west-1"}, errors.NoCopyRoute, "source_region", "partitions"),
    (
        {"snapshot_identifier": "arn:aws-cn:rds:cn-north-1:123456789012:cluster-snapshot:s"},
        errors.NoCopyRoute,
        "source_region",
        "partitions",
    ),
    ({"source_account_id": "12345"}, errors.InvalidParameter, "source_account_id", "12 digits"),
    ({"target_region": "us-east-1"}, errors.InvalidParameter, "target_region", "own region"),
    (
        {"snapshot_identifier": ARN, "source_region": "eu-west-1"},
        errors.ConflictingFields,
        "source_region",
        "us-east-1",
    ),
    (
        {"snapshot_identifier": ARN, "source_account_id": "123456789012"},
        errors.ConflictingFields,
        "source_account_id",
        "210987654321",
    ),
    (
        {"snapshot_selector": {"latest": True}},
        errors.ConflictingFields,
        "snapshot_selector",
        "snapshot_identifier and snapshot_selector",
    ),
    (
        {"snapshot_identifier": None, "snapshot_date": "2026-11-22", **BY_RULE},
        errors.ConflictingFields,
        "snapshot_selector",
        "one source",
    ),
    (
        {"snapshot_identifier": None, "snapshot_selector": {}},
        errors.MissingSource,
        "source_cluster_id",
        "snapshot_selector is given without",
    ),
    (
        {**BY_RULE, "snapshot_identifier": None, "snapshot_selector": {"latest": False}},
        errors.InvalidParameter,
        "snapshot_selector.latest",
        "allowed: true",
    ),
    (
        {**BY_RULE, "snapshot_identifier": None, "snapshot_selector": {"max_age_hours": 0}},
        errors.InvalidParameter,
        "snapshot_selector.max_age_hours",
        "above 0",
    ),
    (
        {**BY_RULE, "snapshot_identifier": None, "snapshot_selector": {"type": "public"}},
        errors.InvalidParameter,
        "snapshot_selector.type",
        "awsbackup",
    ),
    (
        {**BY_RULE, "snapshot_identifier": None, "snapshot_selector": {"kind": "manual"}},
        errors.UnknownField,
        "snapshot_selector.kind",
        "allowed: latest",
    ),
    (
        {**BY_RULE, "snapshot_identifier": None, "snapshot_selector": {"type": "shared"}},
        errors.MissingParameter,
        "source_account_id",
        "which other account",
    ),
    (
        {
            **BY_RULE,
            "snapshot_identifier": None,
            "source_account_id": "210987654321",
            "snapshot_selector": {"type": "shared", "tags": {"a": "b"}},
        },
        errors.ConflictingFields,
        "snapshot_selector",
        "owner only",
    ),
    ({"mode": "dry-run"}, errors.InvalidParameter, "mode", "restore, plan"),
    ({"copy_strategy": "fast"}, errors.InvalidParameter, "copy_strategy", "two_hop"),
    (
        {"snapshot_identifier": "arn:aws:rds:eu-west-1:123456789012:snapshot:s"},
        errors.UnsupportedSnapshot,
        "snapshot_identifier",
        "not a cluster snapshot",
    ),
    ({"snapshot_identifier": "arn:aws:s3:x"}, errors.InvalidParameter, "snapshot_identifier", "ARN"),
    (
        {"tags": {"a": "b", "aws:x": "y"}},
        errors.InvalidParameter,
        "tags",
        "tags has the key 'aws:x'; allowed: one",
    ),
    ({"tags": {"aws:x": "y"}}, errors.InvalidParameter, "tags", "not begin with aws: or aurora-restore:, of 1 to 128"),
    ({"tags": {"é": "y", "": "z"}}, errors.InvalidParameter, "tags", "the keys 'é', ''"),
    ({"tags": {"a": "é"}}, errors.InvalidParameter, "tags.a", "letters, digits, blanks"),
    ({"copy_settings_from": "a_b"}, errors.InvalidParameter, "copy_settings_from", "allowed: a cluster's name"),
    ({"preferred_backup_window": "3-4"}, errors.InvalidParameter, "preferred_backup_window", "hh24:mi-hh24:mi"),
    (
        {"preferred_maintenance_window": "Sun:05:00-Sun:06:00"},
        errors.InvalidParameter,
        "preferred_maintenance_window",
        "mon",
    ),
    (
        {"instances": [{"availability_zone": "a"}]},
        errors.InvalidParameter,
        "instances.0.availability_zone",
        "eu-west-1a",
    ),
    ({"tags": {"aurora-restore:operation-id": "y"}}, errors.InvalidParameter, "tags", "the key"),
    (
        {"users": [{"name": "a", "access": "admin", "databases": ["d"]}]},
        errors.InvalidParameter,
        "users.0.access",
        "read_write",
    ),
    ({"users": [{"name": "a", "access": "read_only"}]}, errors.MissingParameter, "users.0.databases", "missing"),
    (
        {"users": [{"name": n, "access": "read_only", "databases": ["d"]} for n in ("app", "APP")]},
        errors.InvalidParameter,
        "users",
        "twice",
    ),
    (
        {"users": [{"name": "a", "access": "read_only", "databases": ["d"], "pasword": "hunter2"}]},
        errors.UnknownField,
        "users.0.pasword",
        "pasword",
    ),
    ({"checks": [{"name": "a", "database": "d", "sql": "S"}]}, errors.InvalidParameter, "checks.0", "exactly one"),
]


@pytest.mark.parametrize(("change", "kind", "field", "words"), BAD)
def test_bad_requests(change: dict[str, Any], kind: type[errors.RestoreError], field: str, words: str) -> None:
    raw = {name: value for name, value in {**request(), **change}.items() if value is not None}
    error = refusal(raw)
    assert (type(error), error.field) == (kind, field)
    assert words in error.cause
    assert error.advice
    assert "hunter2" not in str(error)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("snapshot_identifer", "'snapshot_identifier'"),
        ("instance", "'instances'"),
        ("readres", "'readers'"),
        # What a person calls by fewer words than the field's name has.
        ("cluster", "'source_cluster_id' or 'target_cluster_id'"),
        ("cluster_name", "'source_cluster_id' or 'target_cluster_id'"),
        ("region", "'source_region' or 'target_region'"),
        ("class", "'db_instance_class'"),
        ("target", "'target_region' or 'target_cluster_id'"),
        ("KMS_key", "'kms_key_id'"),
        ("snapshot", "'snapshot_identifier'"),
        ("subnet_group", "'db_subnet_group_name'"),
        # By the spelling again.
        ("targetClusterId", "'target_cluster_id'"),
        ("preferred_backups_windows", "'preferred_backup_window'"),
    ],
)
def test_what_an_unknown_field_may_have_meant(given: str, meant: str) -> None:
    assert refusal(request(**{given: 1})).cause == f"The request has no field {given!r}; did you mean {meant}?"


@pytest.mark.parametrize(
    "day", ["2026-02-30", "2026-13-01", "22-11-2026", "2026/11/22", "yesterday", "", "2026-11-22T00:00:00Z", 20261122]
)
def test_malformed_dates(day: Any) -> None:
    error = refusal(request(snapshot_identifier=None, source_cluster_id="orders", snapshot_date=day))
    assert (type(error), error.field) == (errors.InvalidSnapshotDate, "snapshot_date")
    assert "calendar" in error.cause or 'such as "2026-11-22"' in error.cause


def test_a_day_in_the_future() -> None:
    raw = request(snapshot_identifier=None, source_cluster_id="orders", snapshot_date="2026-11-24")
    assert type(refusal(raw)) is errors.InvalidSnapshotDate
    assert parse({**raw, "snapshot_date": "2026-11-23"}).snapshot_date == "2026-11-23"


def test_all_findings_are_told_at_once() -> None:
    # What an unknown field was meant for is not said to be missing.
    raw = {
        **request(readers=16, port=1, target_cluster_id=None, snapshot_identifier=None),
        "taget": "t",
        "snapshto": "s",
    }
    error = refusal(raw)
    assert type(error) is errors.UnknownField
    assert [item["field"] for item in error.details["findings"]] == ["taget", "snapshto", "readers", "port"]
    error = refusal(request(readers=16, port=1))
    assert [item["field"] for item in error.details["findings"]] == ["readers", "port"]
    assert "port" in error.cause


@pytest.mark.parametrize("raw", [None, [], "x", 3])
def test_what_is_not_an_object(raw: Any) -> None:
    assert type(refusal(raw)) is errors.InvalidParameter


@pytest.mark.parametrize("name", ["users", "checks"])
def test_users_and_checks_need_the_database_phase(name: str) -> None:
    value = contract.schema()["properties"][name]["examples"][0]
    error = refusal(request(**{name: value}), database_enabled=False)
    assert (type(error), error.field) == (errors.ConflictingFields, name)
    assert parse(request(**{name: []}), database_enabled=False)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1;",
        "SELECT 1 ; -- done; really",
        "-- how many\n/* of; them */ # all\n(SELECT count(*) FROM orders)",
        "with x as (select 1) select * from x",
        "SHOW server_version",
        "SELECT count(*) FROM notes WHERE text = 'a; SELECT 2' OR \"a;b\" = `c;d`",
        "SELECT 'it''s; here'",
        "SELECT $$a; b$$, $x$; c $$ d$x$",
        # Where the engines read it differently, it is not for the contract to say.
        r"SELECT 'it\'s; here'",
        "SELECT 1 # 2; SELECT 3",
        "SELECT data #>> '{a,\nb;c}' FROM t",
        "SELECT 1 /* a /* b */ ; c */",
        "SELECT a$b$ FROM t; SELECT $c",
    ],
)
def test_sql_that_may_be_a_query(sql: str) -> None:
    assert parse(request(checks=[{"name": "a", "database": "d", "sql": sql, "equals": 1}]))


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("DELETE FROM orders", "'a' is not a query (SELECT,"),
        ("/*! SELECT */ DROP TABLE orders", "is not a query"),
        ("SELECTED", "is not a query"),
        ("-- SELECT 1", "is not a query"),
        ("SELECT 1; SELECT 2", "'a' has several statements"),
        ("SELECT 'a'';b'; /* and */ DELETE FROM orders", "several"),
        ("SELECT 1;; -- x\nSELECT 2", "several"),
    ],
)
def test_sql_that_can_never_be_run(sql: str, words: str) -> None:
    checks = [
        {"name": name, "database": "d", "sql": text, "equals": 1} for name, text in (("b", "SELECT 1"), ("a", sql))
    ]
    error = refusal(request(checks=checks))
    assert (type(error), error.field) == (errors.InvalidParameter, "checks.1.sql")
    assert words in error.cause


# --- defaults -------------------------------------------------------------------------------------------------------


def test_defaults_lie_beneath_the_request() -> None:
    parsed = parse({"target_cluster_id": "t", "snapshot_id": "s", "port": 6000}, {**request(port=7000), "readers": 1})
    assert (parsed.target_cluster_id, parsed.port, parsed.readers) == ("t", 6000, 1)


def test_null_takes_a_default_away_and_unset_defaults_are_null() -> None:
    parsed = parse({**request(), "port": None}, {"port": 7000, "kms_key_id": None})
    assert (parsed.port, parsed.kms_key_id) == (None, None)


def test_a_selector_displaces_the_selectors_of_the_defaults() -> None:
    by_date = {"source_cluster_id": "orders", "snapshot_date": "2026-11-20"}
    assert parse(request(), by_date).source_cluster_id is None
    parsed = parse(request(snapshot_identifier=None, snapshot_date="2026-11-22"), by_date)
    assert (parsed.source_cluster_id, parsed.snapshot_date) == ("orders", "2026-11-22")
    parsed = parse(request(snapshot_identifier=None, snapshot_date="2026-11-22", source_cluster_id="c"), request())
    assert (parsed.snapshot_identifier, parsed.source_cluster_id) == (None, "c")


def test_what_says_which_snapshot_displaces_the_defaults_way() -> None:
    rule = {**BY_RULE, "source_cluster_resource_id": "cluster-A"}
    by_date = {"source_cluster_id": "orders", "snapshot_date": "2026-11-22", "snapshot_identifier": None}
    parsed = parse(request(**by_date), rule)
    assert (parsed.snapshot_selector, parsed.source_cluster_resource_id) == (None, None)
    parsed = parse({**request(snapshot_identifier=None), "snapshot_selector": {"type": "manual"}}, by_date)
    assert parsed.snapshot_selector == SnapshotSelector(type="manual")
    assert (parsed.snapshot_date, parsed.source_cluster_id) == (None, "orders")
    elsewhere = {"source_region": "eu-north-1", "source_account_id": "999999999999"}
    parsed = parse(request(snapshot_identifier=ARN), {**rule, **elsewhere})
    assert (parsed.source_region, parsed.source_account_id) == ("us-east-1", "210987654321")
    assert parse(request(), elsewhere).source_region == "eu-north-1"


WAYS = ["snapshot_identifier", "snapshot_date", "snapshot_selector", "source_cluster_id", "source_region", "kms_key_id"]
parts = st.dictionaries(st.sampled_from(WAYS), st.sampled_from(["a", "b", None]))


@given(parts, parts)
def test_merging_keeps_all_that_is_given_and_never_mixes_two_ways(given: Any, defaults: Any) -> None:
    merged = contract.merge(given, defaults)
    assert merged.items() >= {name: value for name, value in given.items() if value is not None}.items()
    assert None not in merged.values()
    mixed = [way for way in contract.WAYS if way in merged]
    if set(mixed) & set(given):
        assert set(mixed) <= set(given)


def test_where_the_snapshot_is() -> None:
    parsed = parse(request(snapshot_identifier=ARN))
    assert (parsed.source_region, parsed.source_account_id) == ("us-east-1", "210987654321")
    own = parse(request(source_account_id="123456789012", source_region="eu-north-1"))
    assert (own.source_region, own.source_account_id) == ("eu-north-1", None)
    assert parse(request()).source_region == "eu-west-1"


@pytest.mark.parametrize("region", ["us-gov-east-1", "us-gov-west-1"])
def test_regions_of_other_partitions(region: str) -> None:
    topic = "arn:aws-us-gov:sns:us-gov-west-1:123456789012:t"
    assert parse(request(source_region=region), region="us-gov-west-1", topic_arn=topic).source_region == region


@pytest.mark.parametrize(
    "region", ["us-iso-east-1", "us-isob-east-1", "eu-isoe-west-1", "eusc-de-east-1", "mx-central-1"]
)
def test_names_of_regions(region: str) -> None:
    assert parse(request(source_region=region), region=region).source_region == region


def test_a_request_that_breaks_rules_only_can_still_be_read() -> None:
    raw = request(target_cluster_id="a--b", target_region="us-east-1")
    parsed = contract.parse(raw, defaults={}, operation_id="op", settings=settings(), now=NOW)
    assert parsed.request is not None
    assert [problem.field for problem in parsed.problems] == ["target_cluster_id", "target_region"]


def test_bad_defaults_are_said_to_be_defaults() -> None:
    assert "defaults" in refusal(request(), {"readers": 99}).cause
    assert "defaults" in refusal(request(), {"reader": 1}).cause
    assert type(refusal(request(), {"operation_id": "x"})) is errors.InvalidParameter
    assert type(refusal(request(), {"mode": "plan"})) is errors.InvalidParameter
    assert type(refusal(request(), "x")) is errors.InvalidParameter


values = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
    | st.lists(st.integers(), max_size=2)
)
names = st.sampled_from([*contract.schema()["properties"], *contract.aliases(), "nonsense"])


@given(st.dictionaries(names, values, max_size=8), st.dictionaries(names, values, max_size=3))
def test_any_object_gives_a_request_or_an_error_of_ours(raw: dict[str, Any], defaults: dict[str, Any]) -> None:
    found: errors.RestoreError | None = None
    try:
        parsed = parse({**request(), **raw}, defaults)
    except errors.RestoreError as error:
        found = error
    if found is None:
        assert Request.from_mapping(json.loads(json.dumps(parsed.to_mapping()))) == parsed
    else:
        assert found.code
        assert found.field


# --- points in time and clones --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "normal"),
    [
        ("2026-11-22T08:00:00Z", "2026-11-22T08:00:00.000Z"),
        ("2026-11-22t10:00:00.25+02:00", "2026-11-22T08:00:00.250Z"),
        ("2026-11-22 08:00:00.123456789z", "2026-11-22T08:00:00.123Z"),
        ("latest", "latest"),
    ],
)
def test_times_in_one_form(given: str, normal: str) -> None:
    parsed = parse(request(**{**POINT, "restore_to_time": given}))
    assert (parsed.restore_to_time, parsed.source_kind) == (normal, "point_in_time")


def test_what_is_restored_from() -> None:
    assert parse(request()).source_kind == "snapshot"
    assert parse(request(clone=False)).source_kind == "snapshot"
    assert parse(request(**CLONE, db_instance_class=None)).source_kind == "clone"
    deleted = {**POINT, "source_cluster_id": None, "source_cluster_resource_id": "cluster-X"}
    assert parse(request(**deleted, db_instance_class=None)).source_cluster_resource_id == "cluster-X"


def test_a_source_cluster_by_its_arn() -> None:
    here = CLUSTER_ARN.replace("us-east-1", "eu-west-1")
    parsed = parse(request(**{**CLONE, "source_cluster_id": here}))
    assert (parsed.source_cluster_id, parsed.source_account_id, parsed.source_region) == (
        "orders", "210987654321", "eu-west-1",
    )  # fmt: skip
    by_date = parse(request(snapshot_identifier=None, source_cluster_id=CLUSTER_ARN, snapshot_date="2026-11-22"))
    assert (by_date.source_account_id, by_date.source_region) == ("210987654321", "us-east-1")


def test_a_source_displaces_the_defaults_of_another() -> None:
    rule = {"source_cluster_id": "orders", "snapshot_selector": {"latest": True}}
    for asked in ({"restore_to_time": "latest"}, {"clone": True}):
        assert parse(request(snapshot_identifier=None, **asked), defaults=rule).source_cluster_id == "orders"
    assert parse(request(snapshot_identifier=None, clone=False), defaults=rule).source_kind == "snapshot"
    assert parse(request(), defaults={"clone": True, "source_cluster_id": "orders"}).source_kind == "snapshot"


@pytest.mark.parametrize("changes", [{}, POINT, CLONE, {"clone": False}, {**POINT, "source_cluster_id": CLUSTER_ARN}])
def test_the_schemas_choice_takes_each_source(changes: dict[str, Any]) -> None:
    fastjsonschema.compile(contract.schema())(request(**changes))


@pytest.mark.parametrize(
    "changes", [{"clone": True}, {"restore_to_time": "latest"}, {**POINT, "clone": True}, {**CLONE, "clone": False}]
)
def test_the_schemas_choice_takes_one_source_only(changes: dict[str, Any]) -> None:
    with pytest.raises(fastjsonschema.JsonSchemaValueException):
        fastjsonschema.compile(contract.schema())(request(**changes))
