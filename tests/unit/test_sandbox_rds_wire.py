"""RDS through the front door: stock boto3 against the sandbox's gateway, without databases."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from sandbox.server import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def rds() -> Iterator[Any]:
    with Sandbox(data_plane=False) as sandbox:
        yield sandbox.client("rds")


def shown(rds: Any, name: str) -> dict[str, Any]:
    [cluster] = rds.describe_db_clusters(DBClusterIdentifier=name)["DBClusters"]
    return dict(cluster)


def wait_for(rds: Any, name: str) -> dict[str, Any]:
    for _ in range(500):
        if (cluster := shown(rds, name))["Status"] == "available":
            return cluster
        time.sleep(0.01)
    raise AssertionError(f"{name} is {cluster['Status']}")


def test_a_cluster_goes_over_the_wire_as_it_is(rds: Any) -> None:
    rds.create_db_cluster(
        DBClusterIdentifier="wire",
        Engine="aurora-postgresql",
        EngineVersion="16.8",
        MasterUsername="postgres",
        MasterUserPassword="correct-horse-9",
        ServerlessV2ScalingConfiguration={"MinCapacity": 0.5, "MaxCapacity": 4},
        EnableCloudwatchLogsExports=["postgresql"],
        Tags=[{"Key": "a", "Value": "b"}],
    )
    cluster = wait_for(rds, "wire")
    assert cluster["StorageEncryptionType"] == "sse-rds"
    assert cluster["ServerlessV2ScalingConfiguration"] == {"MinCapacity": 0.5, "MaxCapacity": 4.0}
    assert cluster["EnabledCloudwatchLogsExports"] == ["postgresql"]
    assert cluster["TagList"] == [{"Key": "a", "Value": "b"}]
    assert cluster["EarliestRestorableTime"].tzinfo is not None
    assert rds.describe_events()["Events"][0]["EventCategories"] == ["creation"]


def test_wire_codes_and_statuses(rds: Any) -> None:
    """The code on the wire is not always the shape's name (botocore)."""
    for call, name, code, status in (
        (rds.describe_db_clusters, {"DBClusterIdentifier": "none"}, "DBClusterNotFoundFault", 404),
        (rds.describe_db_instances, {"DBInstanceIdentifier": "none"}, "DBInstanceNotFound", 404),
        (rds.describe_db_cluster_parameters, {"DBClusterParameterGroupName": "none"}, "DBParameterGroupNotFound", 404),
        (rds.failover_db_cluster, {"DBClusterIdentifier": "none"}, "NotEmulated", 501),
    ):
        with pytest.raises(ClientError) as caught:
            call(**name)
        answer = caught.value.response
        assert (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]) == (code, status)


def test_paginators_work(rds: Any) -> None:
    versions = rds.get_paginator("describe_db_engine_versions").paginate(
        Engine="aurora-mysql", PaginationConfig={"PageSize": 20}
    )
    names = [version["EngineVersion"] for version in versions.build_full_result()["DBEngineVersions"]]
    assert len(names) == len(set(names)) > 20
