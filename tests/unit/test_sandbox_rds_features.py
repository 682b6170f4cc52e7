"""IAM roles, Data API, custom endpoints, stop and start (aws-facts 3.1, 3.2, 3.5, 8)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.unit.rds_harness import ACCOUNT, OTHER_ACCOUNT, Plane, World, refused
from tests.unit.rds_harness import world as make_world

CLUSTER = {"DBClusterIdentifier": "source"}


@pytest.fixture
def world() -> Iterator[World]:
    with make_world() as made:
        yield made


def postgresql(world: World) -> dict[str, Any]:
    return world.cluster(Engine="aurora-postgresql", EngineVersion="16.8", MasterUsername="postgres")


def role(name: str, account: str = ACCOUNT) -> str:
    return f"arn:aws:iam::{account}:role/{name}"


# ---- IAM roles


def test_a_role_is_pending_then_active_and_has_its_features(world: World) -> None:
    postgresql(world)
    add = {**CLUSTER, "RoleArn": role("import"), "FeatureName": "s3Import"}
    world.call("AddRoleToDBCluster", **add)
    shown = {"RoleArn": role("import"), "FeatureName": "s3Import"}
    assert world.shown("source")["AssociatedRoles"] == [{**shown, "Status": "PENDING"}]
    world.after(60)
    assert world.shown("source")["AssociatedRoles"] == [{**shown, "Status": "ACTIVE"}]
    for again in (add, {**add, "RoleArn": role("second")}):
        with refused("DBClusterRoleAlreadyExists"):
            world.call("AddRoleToDBCluster", **again)
    with refused("InvalidParameterValue", "Invalid feature name"):
        world.call("AddRoleToDBCluster", **CLUSTER, RoleArn=role("x"))
    with refused("InvalidParameterValue", "IAM role ARN value is invalid"):
        world.call("AddRoleToDBCluster", **CLUSTER, RoleArn=role("x", OTHER_ACCOUNT), FeatureName="Lambda")
    world.call("RemoveRoleFromDBCluster", **add)
    assert world.shown("source")["AssociatedRoles"] == []
    with refused("DBClusterRoleNotFound"):
        world.call("RemoveRoleFromDBCluster", **add)


def test_five_roles_of_aurora_mysql_without_a_feature(world: World) -> None:
    """RUG-LIMITS: IAM roles per cluster 5."""
    world.cluster()
    with refused("InvalidParameterValue", "Invalid feature name"):
        world.call("AddRoleToDBCluster", **CLUSTER, RoleArn=role("x"), FeatureName="s3Import")
    for number in range(5):
        world.call("AddRoleToDBCluster", **CLUSTER, RoleArn=role(f"r{number}"))
    with refused("DBClusterRoleQuotaExceeded"):
        world.call("AddRoleToDBCluster", **CLUSTER, RoleArn=role("sixth"))


def test_a_role_that_cannot_be_associated_is_told_by_an_event(world: World) -> None:
    """aws-facts 6: "isn't able to associate the IAM role"."""
    world.cluster()
    world.rds.fail_role(role("bad"), "Amazon RDS isn't able to associate the IAM role with the DB cluster")
    world.call("AddRoleToDBCluster", **CLUSTER, RoleArn=role("bad"))
    world.after(60)
    assert world.shown("source")["AssociatedRoles"][0]["Status"] == "INVALID"
    assert any("isn't able to associate the IAM role" in text for text in world.messages())


def test_a_restore_has_no_roles_no_data_api_and_no_custom_endpoints(world: World) -> None:
    """aws-facts 3.2."""
    world.cluster()
    world.instance("source-1")
    world.call("AddRoleToDBCluster", **CLUSTER, RoleArn=role("import"))
    world.call("EnableHttpEndpoint", ResourceArn=world.shown("source")["DBClusterArn"])
    world.call("CreateDBClusterEndpoint", **CLUSTER, DBClusterEndpointIdentifier="reports", EndpointType="ANY")
    world.after(60)
    assert world.shown("source")["CustomEndpoints"]
    world.snapshot()
    target = world.restore()
    assert (target["AssociatedRoles"], target["HttpEndpointEnabled"]) == ([], False)
    assert "CustomEndpoints" not in target


# ---- Data API


def test_the_data_api_needs_an_instance(world: World) -> None:
    """aws-facts 8: EnableHttpEndpoint after an instance exists."""
    arn = world.cluster()["DBClusterArn"]
    with refused("InvalidResourceStateFault", "no available DB instance"):
        world.call("EnableHttpEndpoint", ResourceArn=arn)
    world.instance("source-1")
    assert world.call("EnableHttpEndpoint", ResourceArn=arn) == {"ResourceArn": arn, "HttpEndpointEnabled": True}
    assert world.shown("source")["HttpEndpointEnabled"] is False, "not yet"
    world.after(60)
    assert world.shown("source")["HttpEndpointEnabled"] is True
    world.call("DisableHttpEndpoint", ResourceArn=arn)
    world.after(60)
    assert world.shown("source")["HttpEndpointEnabled"] is False
    for wrong in (arn + "x", "source"):
        with refused("ResourceNotFoundFault"):
            world.call("EnableHttpEndpoint", ResourceArn=wrong)


def test_the_data_api_has_versions_and_regions(world: World) -> None:
    """Data API regions page: Aurora MySQL 3.07+, not in every region."""
    arn = world.cluster("source", EngineVersion="8.0.mysql_aurora.3.04.4")["DBClusterArn"]
    world.instance("source-1")
    with refused("InvalidParameterCombination", "isn't supported for aurora-mysql 8.0.mysql_aurora.3.04.4"):
        world.call("EnableHttpEndpoint", ResourceArn=arn)


# ---- custom endpoints


def test_custom_endpoints(world: World) -> None:
    world.cluster()
    for name in ("source-1", "source-2"):
        world.instance(name)
    create = {**CLUSTER, "DBClusterEndpointIdentifier": "Reports", "EndpointType": "READER"}
    made = world.call("CreateDBClusterEndpoint", **create, StaticMembers=["source-2"])
    assert (made["Status"], made["EndpointType"], made["CustomEndpointType"]) == ("creating", "CUSTOM", "READER")
    assert ".cluster-custom-" in made["Endpoint"]
    world.after(60)
    shown = world.call("DescribeDBClusterEndpoints", **CLUSTER)["DBClusterEndpoints"]
    assert [one["EndpointType"] for one in shown] == ["WRITER", "READER", "CUSTOM"]
    assert shown[2] == {**made, "Status": "available"}
    assert world.shown("source")["CustomEndpoints"] == [made["Endpoint"]]
    with refused("DBClusterEndpointAlreadyExistsFault"):
        world.call("CreateDBClusterEndpoint", **create)
    other = {**CLUSTER, "DBClusterEndpointIdentifier": "other"}
    with refused("InvalidParameterCombination", "together"):
        members = {"StaticMembers": ["source-1"], "ExcludedMembers": ["source-2"]}
        world.call("CreateDBClusterEndpoint", **other, EndpointType="ANY", **members)
    with refused("DBInstanceNotFound"):
        world.call("CreateDBClusterEndpoint", **other, EndpointType="ANY", StaticMembers=["none"])
    with refused("InvalidParameterValue", "READER, ANY"):
        world.call("CreateDBClusterEndpoint", **other, EndpointType="WRITER")
    for number in range(4):
        world.call("CreateDBClusterEndpoint", **CLUSTER, DBClusterEndpointIdentifier=f"e{number}", EndpointType="ANY")
    with refused("DBClusterEndpointQuotaExceededFault"):
        world.call("CreateDBClusterEndpoint", **other, EndpointType="ANY")
    assert world.call("DeleteDBClusterEndpoint", DBClusterEndpointIdentifier="reports")["Status"] == "deleting"
    world.after(60)
    with refused("DBClusterEndpointNotFoundFault"):
        world.call("DescribeDBClusterEndpoints", DBClusterEndpointIdentifier="reports")


# ---- stop and start


def test_a_stopped_cluster_must_be_started(world: World) -> None:
    """aws-facts 3.5: "stopped needs StartDBCluster"."""
    world.cluster()
    world.instance("source-1")
    with refused("InvalidDBClusterStateFault", "expected it to be stopped"):
        world.call("StartDBCluster", **CLUSTER)
    world.call("StopDBCluster", **CLUSTER)
    assert world.statuses("source", 300) == ["stopping", "stopped"]
    assert world.instance_shown("source-1")["DBInstanceStatus"] == "stopped"
    with refused("InvalidDBClusterStateFault"):
        world.modify(DeletionProtection=True)
    world.call("StartDBCluster", **CLUSTER)
    assert world.statuses("source", 400) == ["starting", "available"]
    assert world.instance_shown("source-1")["DBInstanceStatus"] == "available"


def test_its_server_rests_too() -> None:
    plane = Plane()
    with make_world(plane=plane) as world:
        volume = world.cluster()["DbClusterResourceId"].lower()
        world.instance("source-1")
        world.call("CreateDBClusterEndpoint", **CLUSTER, DBClusterEndpointIdentifier="all", EndpointType="ANY")
        world.after(60)
        assert volume in {volume for key, volume in plane.open.items() if key.role == "custom"}
        world.call("StopDBCluster", **CLUSTER)
        world.after(600)
        world.call("StartDBCluster", **CLUSTER)
        world.after(600)
        assert plane.done[-2:] == [("stop", volume), ("start", volume, "8.0.mysql_aurora.3.08.2")]
        world.call("DeleteDBInstance", DBInstanceIdentifier="source-1")
        world.after(600)
        assert plane.open == {}
