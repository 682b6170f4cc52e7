"""By which way a restored cluster gets its engine version; and what of it is refused."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from aurora_restore.engine import aurora
from aurora_restore.engine.versions import VersionWay, way
from tests.unit.core_support import FAMILY, NOW, VERSION, FakeAws, FakeRds, snapshot
from tests.unit.test_planner import parsed, plan, refusal

MY, PG = "aurora-mysql", "aurora-postgresql"
M2, M308, M310 = "5.7.mysql_aurora.2.12.5", "8.0.mysql_aurora.3.08.2", "8.0.mysql_aurora.3.10.3"
MINOR = {"16.10": False, "16.8": False, "17.4": True}
MAJOR = {"engine_version": "17.4", "allow_major_version_upgrade": True}


@pytest.mark.parametrize(
    ("engine", "have", "asked", "offered", "upgrades", "by_restore", "expected"),
    [
        (PG, "16.6", None, True, {}, True, ("16.6", "16.6", False, False, False)),
        (PG, "16.6", "16.8", True, MINOR, True, ("16.8", "16.8", False, False, False)),
        # By number, not by text: 16.8 comes before 16.10.
        (PG, "16.6", None, False, MINOR, True, ("16.8", "16.8", False, False, True)),
        (PG, "16.6", "16.10", False, MINOR, True, ("16.10", "16.10", False, False, False)),
        (PG, "16.6", "17.4", True, MINOR, True, ("17.4", "16.6", True, True, False)),
        (PG, "16.6", "17.4", False, MINOR, True, ("17.4", "16.8", True, True, True)),
        (PG, "16.6", None, False, {"17.4": True}, True, ("16.6", "16.6", False, False, False)),
        (MY, M2, M308, True, {M308: True}, True, (M308, M308, True, False, False)),
        (MY, M308, M310, True, {M310: False}, True, (M310, M310, False, False, False)),
        # A point in time and a clone bring their version with them.
        (PG, "16.6", None, False, MINOR, False, ("16.6", "16.6", False, False, False)),
        (PG, "16.6", "16.8", True, MINOR, False, ("16.8", "16.6", False, True, False)),
        (MY, M2, M308, True, {M308: True}, False, (M308, M2, True, True, False)),
    ],
)
def test_the_way(
    engine: str,
    have: str,
    asked: str | None,
    offered: bool,
    upgrades: dict[str, bool],
    by_restore: bool,
    expected: tuple[str, str, bool, bool, bool],
) -> None:
    found = way(engine, have, asked, offered=offered, upgrades=upgrades, by_restore=by_restore)
    assert (found.target, found.at_restore, found.major, found.in_place, found.substituted) == expected
    assert found.have == have


def test_majors_by_number() -> None:
    assert not VersionWay("16.9", "16.10", "16.9").major
    assert VersionWay(M2, M308, M308).major


def test_postgresql_takes_a_major_version_in_place() -> None:
    rds = FakeRds(parameter_groups={"c": "aurora-postgresql17", "i": "aurora-postgresql17"})
    groups = {"db_cluster_parameter_group_name": "c", "db_parameter_group_name": "i"}
    made = plan(rds, **MAJOR, **groups, readers=1)
    assert (made.engine_version, made.version_at_restore, made.major_upgrade) == ("17.4", VERSION, True)
    names = [step.name for step in made.steps]
    assert names.index("CreateWriter") < names.index("UpgradeEngine") < names.index("CreateReaders")
    assert made.expected_seconds["upgrade"] > 0
    asked = parsed(**MAJOR, **groups, readers=1)
    restore = aurora.restore_parameters(asked, made, {})
    assert restore["EngineVersion"] == VERSION
    assert "DBClusterParameterGroupName" not in restore, "it does not fit before the upgrade"
    writer, reader = (aurora.instance_parameters(asked, made, one, {}) for one in made.instances)
    assert "DBParameterGroupName" not in writer
    assert reader["DBParameterGroupName"] == "i"
    assert aurora.upgrade_parameters(asked, made) == {
        "EngineVersion": "17.4",
        "AllowMajorVersionUpgrade": True,
        "DBClusterParameterGroupName": "c",
        "DBInstanceParameterGroupName": "i",
    }
    # The groups are those of the version that the cluster runs in the end.
    error = refusal(FakeRds(parameter_groups={"c": FAMILY}), **MAJOR, db_cluster_parameter_group_name="c")
    assert error.field == "db_cluster_parameter_group_name"


def mysql(**changes: Any) -> FakeRds:
    versions = {
        M2: {"EngineVersion": M2, "ValidUpgradeTarget": [{"EngineVersion": M308, "IsMajorVersionUpgrade": True}]},
        M308: {"EngineVersion": M308, "DBParameterGroupFamily": "aurora-mysql8.0"},
    }
    return FakeRds(snapshots=[snapshot(Engine=MY, EngineVersion=M2)], versions=versions, **changes)


def test_mysql_takes_a_major_version_at_the_restore() -> None:
    asked = {"engine_version": M308, "allow_major_version_upgrade": True}
    made = plan(mysql(), **asked)
    assert (made.engine_version, made.version_at_restore, made.major_upgrade) == (M308, None, True)
    assert aurora.restore_parameters(parsed(**asked), made, {})["EngineVersion"] == M308
    assert any("lower_case_table_names" in warning for warning in made.warnings)
    assert "UpgradeEngine" not in [step.name for step in made.steps]
    assert made.expected_seconds["writer"] > plan().expected_seconds["writer"]
    assert type(refusal(mysql(), engine_version=M308)).__name__ == "MajorUpgradeRefused"
    # One that has come back by a point in time is upgraded in place, with the groups.
    groups = FakeRds(parameter_groups={"c": "aurora-mysql8.0"})
    with_group = {**asked, "db_cluster_parameter_group_name": "c"}
    made = plan(mysql(parameter_groups=groups.parameter_groups), **with_group)
    assert aurora.restore_parameters(parsed(**with_group), made, {})["DBClusterParameterGroupName"] == "c"


def test_a_major_version_that_is_no_target_lists_those_that_are() -> None:
    rds = FakeRds()
    rds.versions["18.1"] = {"EngineVersion": "18.1", "DBParameterGroupFamily": "aurora-postgresql18"}
    error = refusal(rds, engine_version="18.1", allow_major_version_upgrade=True)
    assert type(error).__name__ == "EngineVersionNotOffered"
    assert "17.4" in error.cause


def test_a_retired_version_leads_to_another_major_one_by_way_of_its_substitute() -> None:
    rds = FakeRds(retired={VERSION})
    rds.versions["16.8"]["ValidUpgradeTarget"] = [{"EngineVersion": "17.4", "IsMajorVersionUpgrade": True}]
    made = plan(rds, **MAJOR)
    assert (made.version_at_restore, made.engine_version) == ("16.8", "17.4")
    assert any("16.8" in warning and "does not offer" in warning for warning in made.warnings)
    rds.versions["16.8"]["ValidUpgradeTarget"] = [{"EngineVersion": "17.5", "IsMajorVersionUpgrade": True}]
    error = refusal(rds, **MAJOR)
    assert "restored as 16.8, it cannot be upgraded to 17.4, but to 17.5" in error.cause


def test_extended_support_counts_at_both_ends_of_an_upgrade_in_place() -> None:
    class Old(FakeRds):
        def describe_db_major_engine_versions(self, **parameters: Any) -> dict[str, Any]:
            ended = parameters["MajorEngineVersion"] == "16"
            period = {
                "LifecycleSupportName": "open-source-rds-standard-support",
                "LifecycleSupportEndDate": NOW - timedelta(days=1) if ended else NOW + timedelta(days=1),
            }
            return {"DBMajorEngineVersions": [{"SupportedEngineLifecycles": [period]}]}

    assert type(refusal(Old(), **MAJOR)).__name__ == "ExtendedSupportRequired"
    assert plan(Old(), **MAJOR, engine_lifecycle_support=aurora.EXTENDED_SUPPORT)


def test_the_class_has_to_be_offered_before_the_upgrade_too() -> None:
    class Newer(FakeRds):
        def describe_orderable_db_instance_options(self, **parameters: Any) -> dict[str, Any]:
            found = super().describe_orderable_db_instance_options(**parameters)
            if parameters["EngineVersion"] == VERSION:
                options = found["OrderableDBInstanceOptions"]
                found["OrderableDBInstanceOptions"] = [o for o in options if o["DBInstanceClass"] != "db.r8g.large"]
            return found

    error = refusal(Newer(), **MAJOR)
    assert type(error).__name__ == "InstanceClassUnavailable"
    assert f"{PG} {VERSION}" in error.cause
    assert plan(FakeAws(), **MAJOR)


def test_a_downgrade_is_explained() -> None:
    error = refusal(engine_version="16.4", allow_major_version_upgrade=True)
    assert type(error).__name__ == "EngineDowngrade"
    assert "newer minor one, or a newer major one" in error.cause
