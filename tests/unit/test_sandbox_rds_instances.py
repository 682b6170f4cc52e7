"""Instances, groups, offers, tags, events. Sources: botocore's documentation (BC), Aurora User Guide (AUG)."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.core import NotEmulated
from tests.unit.rds_harness import ACCOUNT, REGION, World, refused
from tests.unit.rds_harness import world as make_world

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def world() -> Iterator[World]:
    with make_world() as made:
        yield made


# ---- CreateDBInstance


def test_the_first_instance_is_the_writer(world: World) -> None:
    """AUG: the first instance of a cluster becomes its writer; readers keep their promotion tier."""
    world.cluster()
    world.instance("first")
    world.instance("second", PromotionTier=3)
    members = {one["DBInstanceIdentifier"]: one for one in world.shown("source")["DBClusterMembers"]}
    assert members["first"]["IsClusterWriter"] is True
    assert (members["second"]["IsClusterWriter"], members["second"]["PromotionTier"]) == (False, 3)
    assert world.shown("source")["MultiAZ"] is True
    assert "Endpoint" in world.instance_shown("first")


def test_no_instance_before_the_cluster_is_available(world: World) -> None:
    """BC:RestoreDBClusterFromSnapshot: "only after … the DB cluster is available"."""
    world.cluster()
    world.snapshot()
    world.begin_restore()
    with refused("InvalidDBClusterStateFault"):
        world.instance("writer", "target")


def test_an_instance_is_configured_before_it_is_available(world: World) -> None:
    """AUG-STATUS: configuring-log-exports, configuring-iam-database-auth, configuring-enhanced-monitoring."""
    world.cluster(EnableCloudwatchLogsExports=["error"], EnableIAMDatabaseAuthentication=True)
    world.call(
        "CreateDBInstance",
        DBInstanceIdentifier="writer",
        DBClusterIdentifier="source",
        DBInstanceClass="db.t4g.medium",
        Engine="aurora-mysql",
        MonitoringInterval=60,
        MonitoringRoleArn=f"arn:aws:iam::{ACCOUNT}:role/monitoring",
    )
    seen = []
    for _ in range(60):
        seen.append(world.instance_shown("writer")["DBInstanceStatus"])
        world.after(10)
    assert list(dict.fromkeys(seen)) == [
        "creating",
        "configuring-log-exports",
        "configuring-iam-database-auth",
        "configuring-enhanced-monitoring",
        "available",
    ]
    passed = [context for action, _, context in world.asked if action == "iam:PassRole"]
    assert passed[0]["iam:PassedToService"] == "monitoring.rds.amazonaws.com"


def test_refusals_at_creation(world: World) -> None:
    world.cluster()
    world.instance("writer")
    with refused("DBInstanceAlreadyExists"):  # wire code ≠ shape name
        world.instance("writer")
    with refused("InvalidParameterCombination", "DBInstanceClass=db.t2.micro, Engine=aurora-mysql"):
        world.instance("other", DBInstanceClass="db.t2.micro")
    with refused("InvalidDBClusterStateFault", "Serverless v2 scaling configuration"):  # AUG-2023 Serverless v2
        world.instance("other", DBInstanceClass="db.serverless")
    with refused("InvalidParameterCombination", "doesn't match the engine name"):
        world.instance("other", Engine="aurora-postgresql")
    with refused("InvalidParameterCombination", "Set vpc security group for the DB Cluster"):
        world.instance("other", VpcSecurityGroupIds=["sg-app"])
    with refused("DBParameterGroupNotFound"):
        world.instance("other", DBParameterGroupName="none")
    with refused("DBClusterNotFoundFault"):
        world.call(
            "CreateDBInstance",
            DBInstanceIdentifier="other",
            DBClusterIdentifier="none",
            DBInstanceClass="db.r6g.large",
            Engine="aurora-mysql",
        )
    world.rds.kit.quotas["DBInstances"] = 1
    with refused("InstanceQuotaExceeded"):
        world.instance("other")
    with pytest.raises(NotEmulated):
        world.call("CreateDBInstance", DBInstanceIdentifier="x", DBInstanceClass="db.m5.large", Engine="mysql")


def test_serverless_after_the_range_is_set(world: World) -> None:
    world.cluster()
    with refused("InvalidParameterCombination", "Serverless v2 capacity"):
        world.modify(ServerlessV2ScalingConfiguration={"MinCapacity": 8, "MaxCapacity": 4})
    world.modify(ServerlessV2ScalingConfiguration={"MinCapacity": 0.5, "MaxCapacity": 4})
    assert world.instance("writer", DBInstanceClass="db.serverless")["DBInstanceClass"] == "db.serverless"


def test_no_serverless_v2_for_5_7(world: World) -> None:
    world.cluster(EngineVersion="5.7.mysql_aurora.2.12.4")
    with refused("InvalidParameterCombination", "doesn't support Aurora Serverless v2"):
        world.modify(ServerlessV2ScalingConfiguration={"MinCapacity": 0.5, "MaxCapacity": 4})


# ---- ModifyDBInstance, DeleteDBInstance


def test_modify_class_and_rename(world: World) -> None:
    """BC:ModifyDBInstance: NewDBInstanceIdentifier reboots at once; a class waits for ApplyImmediately."""
    world.cluster()
    resource_id = world.instance("writer")["DbiResourceId"]
    world.call("ModifyDBInstance", DBInstanceIdentifier="writer", DBInstanceClass="db.r6g.xlarge")
    world.after(200)
    waiting = world.instance_shown("writer")
    assert waiting["PendingModifiedValues"] == {"DBInstanceClass": "db.r6g.xlarge"}
    assert waiting["DBInstanceClass"] == "db.r6g.large"
    world.call("ModifyDBInstance", DBInstanceIdentifier="writer", NewDBInstanceIdentifier="w2", ApplyImmediately=True)
    world.after(300)
    with refused("DBInstanceNotFound"):
        world.instance_shown("writer")
    renamed = world.instance_shown("w2")
    assert (renamed["DbiResourceId"], renamed["PendingModifiedValues"]) == (resource_id, {})
    assert renamed["DBInstanceClass"] == "db.r6g.xlarge", "ApplyImmediately applies what was queued, too"


def test_deleting_the_writer_fails_over_even_in_a_protected_cluster(world: World) -> None:
    """AUG-2023: deletion protection does not cover instances; the reader of the lowest tier is promoted."""
    world.cluster(DeletionProtection=True)
    world.instance("writer")
    world.instance("late", PromotionTier=2)
    world.instance("heir", PromotionTier=1)
    with refused("InvalidParameterCombination", "FinalDBSnapshotIdentifier"):
        world.call("DeleteDBInstance", DBInstanceIdentifier="writer", FinalDBSnapshotIdentifier="final")
    world.call("DeleteDBInstance", DBInstanceIdentifier="writer", SkipFinalSnapshot=True)
    with refused("InvalidDBInstanceState"):
        world.call("DeleteDBInstance", DBInstanceIdentifier="writer")
    world.after(300)
    members = world.shown("source")["DBClusterMembers"]
    assert {one["DBInstanceIdentifier"]: one["IsClusterWriter"] for one in members} == {"late": False, "heir": True}
    assert "DB instance deleted" in world.messages(SourceType="db-instance", SourceIdentifier="writer")


def test_an_instance_that_fails_says_why_in_its_events(world: World) -> None:
    world.cluster()
    world.rds.fail_resource("writer", "insufficient-capacity", "insufficient instance capacity in eu-west-1a")
    assert world.instance("writer")["DBInstanceStatus"] == "insufficient-capacity"
    assert world.messages(SourceType="db-instance") == ["insufficient instance capacity in eu-west-1a"]
    world.call("DeleteDBInstance", DBInstanceIdentifier="writer")


# ---- groups


def test_subnet_groups(world: World) -> None:
    """BC: at least two zones (DBSubnetGroupDoesNotCoverEnoughAZs), one VPC, not deletable while used."""

    def create(name: str, *subnets: str) -> None:
        world.call(
            "CreateDBSubnetGroup", DBSubnetGroupName=name, DBSubnetGroupDescription="test", SubnetIds=list(subnets)
        )

    with refused("DBSubnetGroupDoesNotCoverEnoughAZs", "Current AZ coverage: eu-west-1a"):
        create("one-zone", "subnet-a")
    with refused("InvalidSubnet"):
        create("two-vpcs", "subnet-b", "subnet-other")
    with refused("InvalidSubnet"):
        create("unknown", "subnet-a", "subnet-z")
    create("Mine", "subnet-a", "subnet-b")
    with refused("DBSubnetGroupAlreadyExists"):
        create("mine", "subnet-a", "subnet-b")
    [group] = world.call("DescribeDBSubnetGroups", DBSubnetGroupName="mine")["DBSubnetGroups"]
    assert (group["VpcId"], len(group["Subnets"])) == ("vpc-1", 2)
    world.cluster(DBSubnetGroupName="mine")
    with refused("InvalidDBSubnetGroupStateFault"):
        world.call("DeleteDBSubnetGroup", DBSubnetGroupName="mine")
    with refused("DBSubnetGroupNotFoundFault"):
        world.call("DescribeDBSubnetGroups", DBSubnetGroupName="none")


@pytest.mark.parametrize("prefix", ["DBCluster", "DB"])
def test_parameter_groups(world: World, prefix: str) -> None:
    """default.* groups exist and cannot be changed; 20 parameters a call; static ones need pending-reboot."""
    name_member = f"{prefix}ParameterGroupName"
    groups = world.call(f"Describe{prefix}ParameterGroups")[f"{prefix}ParameterGroups"]
    assert "default.aurora-postgresql16" in {group[name_member] for group in groups}
    world.call(
        f"Create{prefix}ParameterGroup",
        **{name_member: "Mine", "DBParameterGroupFamily": "aurora-mysql8.0", "Description": "test"},
    )
    parameter = {"ParameterName": "lower_case_table_names", "ParameterValue": "1", "ApplyMethod": "immediate"}
    with refused("InvalidParameterCombination", "static parameter"):
        world.call(f"Modify{prefix}ParameterGroup", **{name_member: "mine", "Parameters": [parameter]})
    parameter["ApplyMethod"] = "pending-reboot"
    world.call(f"Modify{prefix}ParameterGroup", **{name_member: "mine", "Parameters": [parameter]})
    with refused("InvalidParameterValue", "20 parameters"):
        world.call(f"Modify{prefix}ParameterGroup", **{name_member: "mine", "Parameters": [parameter] * 21})
    [shown] = world.call(f"Describe{prefix}Parameters", **{name_member: "mine", "Source": "user"})["Parameters"]
    assert (shown["ParameterName"], shown["ApplyType"]) == ("lower_case_table_names", "static")
    world.call(f"Reset{prefix}ParameterGroup", **{name_member: "mine", "ResetAllParameters": True})
    assert world.call(f"Describe{prefix}Parameters", **{name_member: "mine"})["Parameters"] == []
    with refused("InvalidDBParameterGroupState"):
        world.call(f"Delete{prefix}ParameterGroup", **{name_member: "default.aurora-mysql8.0"})
    world.call(f"Delete{prefix}ParameterGroup", **{name_member: "mine"})


# ---- offers


def test_engine_versions(world: World) -> None:
    def versions(**params: Any) -> list[dict[str, Any]]:
        return list(world.call("DescribeDBEngineVersions", **params)["DBEngineVersions"])

    [version] = versions(Engine="aurora-mysql", EngineVersion="8.0.mysql_aurora.3.08.2")
    assert version["DBParameterGroupFamily"] == "aurora-mysql8.0"
    assert version["ServerlessV2FeaturesSupport"] == {"MinCapacity": 0.0, "MaxCapacity": 256.0}
    retired = "8.0.mysql_aurora.3.05.2"
    assert versions(Engine="aurora-mysql", EngineVersion=retired) == []
    [old] = versions(Engine="aurora-mysql", EngineVersion=retired, IncludeAll=True)
    assert old["Status"] == "deprecated"
    targets = [target for target in old["ValidUpgradeTarget"] if not target["IsMajorVersionUpgrade"]]
    assert targets[0]["EngineVersion"] == "8.0.mysql_aurora.3.08.0"
    [eol] = versions(Engine="aurora-mysql", EngineVersion="5.7.mysql_aurora.2.12.4")
    assert any(target["IsMajorVersionUpgrade"] for target in eol["ValidUpgradeTarget"])
    assert len(versions(Engine="aurora-postgresql", DefaultOnly=True)) == 1
    assert {version["MajorEngineVersion"] for version in versions(Engine="aurora-postgresql", EngineVersion="15")} == {
        "15"
    }


def test_orderable_options(world: World) -> None:
    def offered(engine: str, version: str, name: str) -> bool:
        answer = world.call(
            "DescribeOrderableDBInstanceOptions", Engine=engine, EngineVersion=version, DBInstanceClass=name
        )
        return bool(answer["OrderableDBInstanceOptions"])

    assert offered("aurora-mysql", "8.0.mysql_aurora.3.08.2", "db.r7g.large")
    assert offered("aurora-postgresql", "16.8", "db.serverless")
    assert offered("aurora-mysql", "5.7.mysql_aurora.2.12.4", "db.t4g.medium")
    assert not offered("aurora-mysql", "5.7.mysql_aurora.2.12.4", "db.serverless")
    assert not offered("aurora-mysql", "8.0.mysql_aurora.3.08.2", "db.m5.large")


def test_certificates_and_empty_lists(world: World) -> None:
    assert {one["CertificateIdentifier"] for one in world.call("DescribeCertificates")["Certificates"]} == {
        "rds-ca-rsa2048-g1",
        "rds-ca-rsa4096-g1",
        "rds-ca-ecc384-g1",
    }
    assert world.call("DescribePendingMaintenanceActions") == {"PendingMaintenanceActions": []}
    assert world.call("DescribeGlobalClusters") == {"GlobalClusters": []}


def test_what_is_not_emulated_says_so(world: World) -> None:
    with pytest.raises(NotEmulated, match="rds:FailoverDBCluster"):
        world.call("FailoverDBCluster", DBClusterIdentifier="source")


# ---- tags and events


def test_tags(world: World) -> None:
    arn = world.cluster(Tags=[{"Key": "a", "Value": "1"}])["DBClusterArn"]
    world.call("AddTagsToResource", ResourceName=arn, Tags=[{"Key": "b", "Value": "2"}])
    world.call("RemoveTagsFromResource", ResourceName=arn, TagKeys=["a"])
    assert world.call("ListTagsForResource", ResourceName=arn)["TagList"] == [{"Key": "b", "Value": "2"}]
    assert world.rds.resource_tags(arn) == {"b": "2"}
    with refused("InvalidParameterValue", "reserved"):
        world.call("AddTagsToResource", ResourceName=arn, Tags=[{"Key": "aws:x", "Value": "2"}])
    with refused("DBClusterNotFoundFault"):
        world.call("ListTagsForResource", ResourceName=arn + "-other")


def test_events_default_to_the_last_hour_and_last_14_days(world: World) -> None:
    """BC:DescribeEvents: 60 minutes unless asked otherwise; RDS keeps 14 days."""
    world.cluster()
    world.after(3600)
    assert world.messages() == []
    assert world.messages(Duration=120) == ["DB cluster created"]
    assert world.messages(StartTime=world.clock.now() - timedelta(hours=2)) == ["DB cluster created"]
    assert world.messages(Duration=120, EventCategories=["deletion"]) == []
    with refused("InvalidParameterCombination", "SourceType must be specified"):
        world.messages(SourceIdentifier="source")
    world.after(15 * 24 * 3600)
    assert world.messages(StartTime=world.clock.now() - timedelta(days=20)) == []


def test_listeners_get_the_event_ids(world: World) -> None:
    """DescribeEvents shows no id; EventBridge's events do (``detail.EventID``)."""
    seen: list[str] = []
    world.rds.on_event(lambda event: seen.append(event.event_id))
    world.cluster()
    world.instance("writer")
    assert seen == ["RDS-EVENT-0170", "RDS-EVENT-0005"]


def test_regions_and_accounts_are_apart(world: World) -> None:
    world.cluster()
    assert world.call("DescribeDBClusters", ACCOUNT, "eu-central-1")["DBClusters"] == []
    assert world.call("DescribeDBClusters", "999999999999", REGION)["DBClusters"] == []


# ---- with moto's neighbours


def test_keys_secrets_and_network_are_motos() -> None:
    """The adapters, on moto's real backends: default VPC, managed secret with its two tags, disabled key."""
    from moto.kms.models import kms_backends
    from moto.secretsmanager.models import secretsmanager_backends

    from sandbox.clock import VirtualClock
    from sandbox.core import AwsError, Call, Principal
    from sandbox.rds import RdsService

    account = "222233334444"  # of this test alone: moto's state is global
    kms = kms_backends[account][REGION]
    key = kms.create_key(None, "ENCRYPT_DECRYPT", "SYMMETRIC_DEFAULT", "test", [])
    clock = VirtualClock()
    rds = RdsService(clock)
    params = {
        "DBClusterIdentifier": "real",
        "Engine": "aurora-mysql",
        "MasterUsername": "admin",
        "ManageMasterUserPassword": True,
        "KmsKeyId": key.arn,
    }
    call = Call(
        "rds", "CreateDBCluster", REGION, account, Principal(account, "arn:aws:iam::1:root", admin=True), params
    )
    try:
        with clock.busy():
            cluster = rds.handle(call)["DBCluster"]
            assert cluster["KmsKeyId"] == key.arn
            assert cluster["VpcSecurityGroups"][0]["VpcSecurityGroupId"].startswith("sg-")
            arn = cluster["MasterUserSecret"]["SecretArn"]
            secrets = secretsmanager_backends[account][REGION]
            secret = secrets.describe_secret(arn)
            assert secret.owning_service == "rds"
            assert {tag["Key"] for tag in secret.tags} == {
                "aws:rds:primaryDBClusterArn",
                "aws:secretsmanager:owningService",
            }
            rds.kit.secrets.put(account, REGION, arn, "rotated")
            assert secrets.get_secret_value(arn, "", "")["SecretString"] == "rotated"
            assert secrets.describe_secret(arn).owning_service == "rds"
            rds.kit.secrets.delete(account, REGION, arn)
            assert not secrets.secrets
            kms.disable_key(key.id)
            with pytest.raises(AwsError) as caught:
                rds.handle(call)
            assert caught.value.code == "KMSKeyNotAccessibleFault"
    finally:
        clock.close()
