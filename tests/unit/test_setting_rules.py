"""What settings must go together, and what the engine version has to offer."""

from __future__ import annotations

from typing import Any

import pytest

from aurora_restore import contract, errors, planner, preflight
from aurora_restore.living import Copied
from tests.unit.core_support import ACCOUNT, NOW, VERSION, FakeAws, FakeRds, request, settings, snapshot, subnet_group
from tests.unit.test_contract import refusal
from tests.unit.test_planner import plan
from tests.unit.test_planner import refusal as plan_refusal

ROLE = f"arn:aws:iam::{ACCOUNT}:role/r"
FOREIGN = "arn:aws:iam::210987654321:role/r"
ENDPOINT = {"db_cluster_endpoint_identifier": "reports", "endpoint_type": "READER"}
SCALING = {
    "min_capacity": 1,
    "max_capacity": 3,
    "predefined_metric_type": "RDSReaderAverageCPUUtilization",
    "target_value": 60,
}

BAD: list[tuple[dict[str, Any], type[errors.RestoreError], str, str]] = [
    ({"db_instance_class": None}, errors.MissingParameter, "db_instance_class", "missing"),
    ({"db_instance_class": None, "instances": [{}]}, errors.MissingParameter, "instances.0.db_instance_class", "none"),
    ({"readers": 1, "instances": [{}]}, errors.ConflictingFields, "readers", "list of instances"),
    ({"instances": []}, errors.InvalidParameter, "instances", "at least 1"),
    ({"instances": [{"class": "x"}]}, errors.UnknownField, "instances.0.class", "db_instance_class"),
    (
        {"instances": [{"db_instance_class": "db.serverless"}]},
        errors.MissingParameter,
        "serverless_v2_scaling",
        "missing",
    ),
    (
        {"serverless_v2_scaling": {"min_capacity": 1, "max_capacity": 2, "seconds_until_auto_pause": 300}},
        errors.ConflictingFields,
        "serverless_v2_scaling",
        "never pauses",
    ),
    ({"monitoring_interval": 30}, errors.MissingParameter, "monitoring_role_arn", "missing"),
    ({"monitoring_role_arn": ROLE}, errors.MissingParameter, "monitoring_interval", "missing"),
    ({"monitoring_interval": 0, "monitoring_role_arn": ROLE}, errors.MissingParameter, "monitoring_interval", "is 0"),
    ({"monitoring_interval": 7}, errors.InvalidParameter, "monitoring_interval", "allowed: 0, 1, 5, 10, 15, 30, 60"),
    ({"monitoring_interval": 30, "monitoring_role_arn": FOREIGN}, errors.InvalidParameter, "monitoring_role_arn", "an"),
    (
        {"instances": [{}, {"monitoring_interval": 5}]},
        errors.MissingParameter,
        "instances.1.monitoring_role_arn",
        "missing",
    ),
    (
        {"performance_insights_retention_period": 7},
        errors.ConflictingFields,
        "performance_insights_retention_period",
        "not true",
    ),
    (
        {"enable_performance_insights": True, "performance_insights_retention_period": 94},
        errors.InvalidParameter,
        "performance_insights_retention_period",
        "allowed: 7, 31, 62",
    ),
    (
        {"enable_performance_insights": True, "database_insights_mode": "advanced"},
        errors.ConflictingFields,
        "performance_insights_retention_period",
        "465",
    ),
    ({"preferred_backup_window": "03:00-03:10"}, errors.InvalidParameter, "preferred_backup_window", "30 minutes"),
    (
        {"preferred_maintenance_window": "sun:05:00-mon:05:00"},
        errors.InvalidParameter,
        "preferred_maintenance_window",
        "23 hours 30 minutes",
    ),
    (
        {"preferred_backup_window": "23:30-00:30", "preferred_maintenance_window": "mon:00:00-mon:01:00"},
        errors.ConflictingFields,
        "preferred_maintenance_window",
        "overlaps",
    ),
    (
        {
            "preferred_backup_window": "23:30-00:30",
            "instances": [{"preferred_maintenance_window": "sun:23:00-sun:23:40"}],
        },
        errors.ConflictingFields,
        "instances.0.preferred_maintenance_window",
        "overlaps",
    ),
    ({"associated_roles": [{"role_arn": "r"}]}, errors.InvalidParameter, "associated_roles.0.role_arn", "the ARN of"),
    ({"associated_roles": [{"role_arn": FOREIGN}]}, errors.InvalidParameter, "associated_roles", "another account"),
    (
        {"associated_roles": [{"role_arn": f"{ROLE}{n}", "feature_name": "s3Import"} for n in "12"]},
        errors.InvalidParameter,
        "associated_roles",
        "two roles for s3Import",
    ),
    (
        {"custom_endpoints": [{**ENDPOINT, "db_cluster_endpoint_identifier": "a--b"}]},
        errors.InvalidParameter,
        "custom_endpoints.0.db_cluster_endpoint_identifier",
        "two hyphens",
    ),
    ({"custom_endpoints": [ENDPOINT, ENDPOINT]}, errors.InvalidParameter, "custom_endpoints.1", "twice"),
    (
        {"readers": 1, "custom_endpoints": [{**ENDPOINT, "static_members": [1], "excluded_members": [2]}]},
        errors.ConflictingFields,
        "custom_endpoints.0",
        "one of them",
    ),
    (
        {"readers": 1, "custom_endpoints": [{**ENDPOINT, "static_members": [2, 3, 5]}]},
        errors.InvalidParameter,
        "custom_endpoints.0.static_members",
        "custom_endpoints.0.static_members names the instances 3, 5, but the cluster has 2",
    ),
    (
        {"custom_endpoints": [ENDPOINT, {**ENDPOINT, "db_cluster_endpoint_identifier": "e", "excluded_members": [2]}]},
        errors.InvalidParameter,
        "custom_endpoints.1.excluded_members",
        "custom_endpoints.1.excluded_members names the instance 2, but the cluster has 1",
    ),
    (
        {"serverless_v2_scaling": {"min_capacity": 4.5, "max_capacity": 2}},
        errors.InvalidParameter,
        "serverless_v2_scaling",
        "serverless_v2_scaling has a min_capacity of 4.5 above its max_capacity of 2",
    ),
    (
        {"reader_autoscaling": {**SCALING, "min_capacity": 4}},
        errors.InvalidParameter,
        "reader_autoscaling",
        "reader_autoscaling has a min_capacity of 4 above its max_capacity of 3",
    ),
    ({"reader_autoscaling": SCALING}, errors.ConflictingFields, "reader_autoscaling", "restored with 0"),
    ({"readers": 4, "reader_autoscaling": SCALING}, errors.ConflictingFields, "reader_autoscaling", "restored with 4"),
    (
        {"readers": 1, "reader_autoscaling": {**SCALING, "min_capacity": 4}},
        errors.InvalidParameter,
        "reader_autoscaling",
        "above",
    ),
    ({"tags": {"a": "1"}, "cost_tags": {"a": "2"}}, errors.ConflictingFields, "cost_tags", "'a'"),
]


@pytest.mark.parametrize(("changes", "kind", "field", "told"), BAD, ids=[f"{row[2]}-{n}" for n, row in enumerate(BAD)])
def test_what_does_not_go_together(
    changes: dict[str, Any], kind: type[errors.RestoreError], field: str, told: str
) -> None:
    error = refusal(request(**changes))
    assert (type(error), error.field) == (kind, field)
    assert told in error.cause
    assert error.advice


@pytest.mark.parametrize(
    "changes",
    [
        {"preferred_backup_window": "23:30-00:30", "preferred_maintenance_window": "mon:00:30-mon:01:00"},
        {"preferred_backup_window": "03:00-03:30", "preferred_maintenance_window": "sat:23:00-sun:02:00"},
        {"monitoring_interval": 30, "monitoring_role_arn": ROLE, "instances": [{}, {"monitoring_interval": 0}]},
        {"monitoring_interval": 0},
        {"readers": 1, "reader_autoscaling": SCALING, "custom_endpoints": [{**ENDPOINT, "static_members": [2]}]},
        {"tags": {"a": "1"}, "cost_tags": {"a": "1", "b": "2"}},
        {
            "enable_performance_insights": True,
            "performance_insights_retention_period": 465,
            "database_insights_mode": "advanced",
        },
    ],
)
def test_what_goes_together(changes: dict[str, Any]) -> None:
    found = contract.parse(request(**changes), defaults={}, operation_id="op", settings=settings(), now=NOW)
    assert found.problems == ()


# --- what is offered --------------------------------------------------------------------------------------------------


def offering(**offers: Any) -> FakeRds:
    rds = FakeRds()
    rds.versions[VERSION] |= offers
    return rds


@pytest.mark.parametrize(
    ("rds", "changes", "field", "told"),
    [
        (FakeRds(), {"backtrack_window": 60}, "backtrack_window", "no backtrack"),
        (
            offering(SupportedCACertificateIdentifiers=["rds-ca-rsa2048-g1"]),
            {"ca_certificate_identifier": "rds-ca-2019"},
            "ca_certificate_identifier",
            "allowed: rds-ca-rsa2048-g1",
        ),
        (
            offering(SupportedCACertificateIdentifiers=["rds-ca-rsa2048-g1"]),
            {"instances": [{"ca_certificate_identifier": "rds-ca-2019"}]},
            "instances.0.ca_certificate_identifier",
            "allowed: rds-ca-rsa2048-g1",
        ),
        (
            offering(SupportedFeatureNames=["s3Import"]),
            {"associated_roles": [{"role_arn": ROLE, "feature_name": "s3Export"}]},
            "associated_roles.0.feature_name",
            "allowed: s3Import",
        ),
        (
            offering(SupportedFeatureNames=["s3Import"]),
            {"associated_roles": [{"role_arn": ROLE}]},
            "associated_roles.0.feature_name",
            "needs a feature_name",
        ),
        (
            offering(ServerlessV2FeaturesSupport={"MinCapacity": 0.5, "MaxCapacity": 128}),
            {"serverless_v2_scaling": {"min_capacity": 0, "max_capacity": 8}},
            "serverless_v2_scaling",
            "allows 0.5 to 128",
        ),
        (
            FakeRds(subnet_groups={"databases": subnet_group("databases", SupportedNetworkTypes=["IPV4"])}),
            {"network_type": "DUAL"},
            "network_type",
            "supports IPV4",
        ),
        (FakeRds(class_zones=("a",)), {"instances": [{"availability_zone": "eu-west-1b"}]}, None, "eu-west-1b"),
    ],
)
def test_what_is_not_offered(rds: FakeRds, changes: dict[str, Any], field: str | None, told: str) -> None:
    error = plan_refusal(rds, **changes)
    assert error.field == (field or "instances.0.availability_zone")
    assert told in error.cause


@pytest.mark.parametrize(
    ("engine", "version", "has"),
    [
        ("aurora-postgresql", "16.0", False),
        ("aurora-postgresql", "16.1", True),
        ("aurora-postgresql", "12.20", False),
        ("aurora-postgresql", "19.1", True),
        ("aurora-postgresql", "18.2", False),
        ("aurora-mysql", "8.0.mysql_aurora.3.06.1", False),
        ("aurora-mysql", "8.0.mysql_aurora.3.07.0", True),
        ("aurora-mysql", "8.0.mysql_aurora.3.10.0", True),
        ("aurora-mysql", "5.7.mysql_aurora.2.12.3", False),
    ],
)
def test_the_data_api_by_version(engine: str, version: str, has: bool) -> None:
    rds = FakeRds(snapshots=[snapshot(Engine=engine, EngineVersion=version)])
    rds.versions[version] = {"EngineVersion": version}
    if has:
        assert "Data API" in str([step.action for step in plan(rds, enable_http_endpoint=True).steps])
    else:
        error = plan_refusal(rds, enable_http_endpoint=True)
        assert (error.field, "first versions with it are" in error.cause) == ("enable_http_endpoint", True)


def test_classes_zones_and_groups_of_each_instance_are_checked() -> None:
    error = plan_refusal(instances=[{}, {"db_instance_class": "db.x9.large", "db_parameter_group_name": "mine"}])
    assert {finding["field"] for finding in error.details["findings"]} == {
        "db_instance_class",
        "db_parameter_group_name",
    }
    made = plan(instances=[{}, {"db_instance_class": "db.t4g.medium", "promotion_tier": 15}])
    assert [(one.instance_class, one.promotion_tier) for one in made.instances] == [
        ("db.r8g.large", 0),
        ("db.t4g.medium", 15),
    ]
    assert len([item for item in made.costs if item.name.startswith("instances")]) == 2


# --- layers -----------------------------------------------------------------------------------------------------------


def layered(given: dict[str, Any], copied: dict[str, Any], defaults: dict[str, Any]) -> contract.Parsed:
    return contract.parse(
        {"target_cluster_id": "t", "snapshot_identifier": "s", "copy_settings_from": "orders", **given},
        defaults=defaults,
        operation_id="op",
        settings=settings(),
        now=NOW,
        copied=Copied("orders", fields=copied),
    )


LIVING = {
    "db_instance_class": "db.r8g.large",
    "db_subnet_group_name": "private",
    "vpc_security_group_ids": ["sg-1"],
    "port": 3310,
    "instances": [{"promotion_tier": 0}, {"db_instance_class": "db.t4g.medium", "promotion_tier": 15}],
}


def test_the_request_is_above_what_is_copied_and_that_above_the_defaults() -> None:
    found = layered({"port": 5555}, LIVING, {"port": 1, "db_subnet_group_name": "x", "backup_retention_period": 3})
    wanted = found.request
    assert wanted is not None
    assert found.problems == ()
    assert (wanted.port, wanted.db_subnet_group_name, wanted.backup_retention_period) == (5555, "private", 3)
    assert wanted.copy_settings_from == "orders"
    assert {name: found.origins[name] for name in ("port", "db_subnet_group_name", "backup_retention_period")} == {
        "port": "request",
        "db_subnet_group_name": "copied",
        "backup_retention_period": "defaults",
    }


@pytest.mark.parametrize(
    ("given", "defaults", "topology"),
    [
        ({}, {"readers": 4}, [("db.r8g.large", 0), ("db.t4g.medium", 15)]),
        # A smaller copy of a topology: the class is for all of it.
        ({"db_instance_class": "db.t4g.large"}, {}, [("db.t4g.large", 0), ("db.t4g.large", 15)]),
        ({"readers": 0}, {}, [("db.r8g.large", None)]),
        ({"instances": [{}]}, {"readers": 3}, [("db.r8g.large", None)]),
        ({"instances": None}, {"readers": 1}, [("db.r8g.large", None)] * 2),
    ],
)
def test_who_says_the_topology(given: dict[str, Any], defaults: dict[str, Any], topology: list[Any]) -> None:
    wanted = layered(given, LIVING, defaults).request
    assert wanted is not None
    assert [(spec.db_instance_class, spec.promotion_tier) for spec in wanted.topology] == topology


def test_a_copied_value_that_is_wrong_says_whose_it_is() -> None:
    [problem] = layered({}, {**LIVING, "port": 80}, {}).problems
    assert "from the cluster in copy_settings_from" in problem.cause


RANGE = {"serverless_v2_scaling": {"min_capacity": 0.5, "max_capacity": 8}}


@pytest.mark.parametrize(
    ("given", "copied", "defaults", "told"),
    [
        (RANGE, {}, {}, True),
        ({**RANGE, "readers": 1}, RANGE, RANGE, True),
        ({**RANGE, "instances": [{}, {"db_instance_class": "db.serverless"}]}, {}, {}, False),
        ({**RANGE, "db_instance_class": "db.serverless"}, {}, {}, False),
        # Nobody asked for it here: a cluster keeps a range that none of its instances needs, and defaults are for all.
        ({}, RANGE, {}, False),
        ({}, {}, RANGE, False),
    ],
)
def test_a_range_that_no_instance_uses(given: Any, copied: Any, defaults: Any, told: bool) -> None:
    found, aws = layered({**request(copy_settings_from="orders"), **given}, copied, defaults), FakeAws()
    assert found.request is not None
    facts = preflight.gather(aws, aws.clients, found.request, {}, settings(), NOW)  # type: ignore[arg-type]
    made = planner.plan(found.request, facts, settings(), NOW, origins=found.origins)
    warning = (
        "serverless_v2_scaling is given, but no instance is db.serverless: set db_instance_class to "
        "db.serverless, for all or for an entry of instances, or leave serverless_v2_scaling out."
    )
    assert list(made.warnings) == [warning] * told


def test_a_source_of_settings_that_is_not_there_is_the_one_finding() -> None:
    problem = errors.InvalidParameter("no such cluster", field="copy_settings_from")
    found = contract.parse(
        {"target_cluster_id": "t", "snapshot_identifier": "s", "copy_settings_from": "orders"},
        defaults={},
        operation_id="op",
        settings=settings(),
        now=NOW,
        copied=Copied("orders", problems=(problem,)),
    )
    assert found.problems == (problem,)


@pytest.mark.parametrize(
    ("allowed", "refused"),
    [(None, False), ((), True), ((ROLE,), False), (("arn:aws:iam::*:role/*",), False), ((f"{ROLE}2",), True)],
)
def test_a_role_must_be_one_that_the_deployment_may_pass(allowed: tuple[str, ...] | None, refused: bool) -> None:
    for changes in (
        {"monitoring_interval": 30, "monitoring_role_arn": ROLE},
        {"associated_roles": [{"role_arn": ROLE}]},
    ):
        found = contract.parse(
            request(**changes),
            defaults={},
            operation_id="op",
            settings=settings(passable_role_arns=allowed),
            now=NOW,
        )
        assert ["passable_role_arns" in problem.advice for problem in found.problems] == [True] * refused
