"""The world in which the RDS tests play: a clock that waits for the test, and neighbours made of dictionaries."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.clock import VirtualClock
from sandbox.core import AwsError, Call, Principal
from sandbox.rds import RdsService, Timings
from sandbox.rds.ports import KeyFacts, SubnetFacts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ACCOUNT, OTHER_ACCOUNT, REGION = "111122223333", "444455556666", "eu-west-1"
PASSWORD = "correct-horse-9"
ROLE = "arn:aws:sts::111122223333:assumed-role/restore/session"


def key_arn(name: str, account: str = ACCOUNT, region: str = REGION) -> str:
    return f"arn:aws:kms:{region}:{account}:key/{name}"


class Network:
    """A default VPC with three zones, and a second VPC with one."""

    facts = (
        *(SubnetFacts(f"subnet-{zone}", "vpc-1", f"eu-west-1{zone}") for zone in "abc"),
        SubnetFacts("subnet-other", "vpc-2", "eu-west-1a"),
    )

    def subnets(self, account: str, region: str, subnet_ids: list[str]) -> list[SubnetFacts]:
        return [facts for facts in self.facts if facts.subnet in subnet_ids]

    def default_subnets(self, account: str, region: str) -> list[SubnetFacts]:
        return [facts for facts in self.facts if facts.vpc == "vpc-1"]

    def default_security_group(self, account: str, region: str, vpc: str) -> str | None:
        return f"sg-default-{vpc}"

    def security_group_vpc(self, account: str, region: str, group: str) -> str | None:
        return {"sg-app": "vpc-1", "sg-elsewhere": "vpc-2"}.get(group)


class Keys(dict[str, KeyFacts]):
    """KMS keys by name, and the grants that RDS made itself."""

    def __init__(self) -> None:
        super().__init__({name: KeyFacts(key_arn(name), enabled=True, aws_managed=False) for name in ("own", "second")})
        self["disabled"] = KeyFacts(key_arn("disabled"), enabled=False, aws_managed=False)
        self["alias/aws/rds"] = KeyFacts(key_arn("aws-rds"), enabled=True, aws_managed=True)
        self.grants: dict[str, str] = {}

    def add(self, name: str, account: str, region: str, *, aws_managed: bool = False) -> str:
        """Make a key; return its ARN."""
        self[f"{account}/{region}/{name}"] = KeyFacts(key_arn(name, account, region), True, aws_managed)
        return key_arn(name, account, region)

    def disable(self, arn: str) -> None:
        [name] = [name for name, facts in self.items() if facts.arn == arn]
        self[name] = KeyFacts(arn, enabled=False, aws_managed=False)

    def find(self, account: str, region: str, key: str) -> KeyFacts | None:
        named = self.get(f"{account}/{region}/{key}") or self.get(key)
        return named or next((facts for facts in self.values() if facts.arn == key), None)

    def grant(self, key_arn: str, name: str) -> str:
        grant = f"grant-{len(self.grants)}-{key_arn}"
        self.grants[grant] = key_arn
        return grant

    def is_granted(self, key_arn: str, grant: str) -> bool:
        return self.grants.get(grant) == key_arn

    def retire(self, key_arn: str, grant: str) -> None:
        self.grants.pop(grant, None)


class Secrets(dict[str, dict[str, Any]]):
    """Secrets by ARN."""

    def create(
        self,
        account: str,
        region: str,
        name: str,
        value: str,
        description: str,
        key: str | None,
        tags: Mapping[str, str],
    ) -> tuple[str, str]:
        arn = f"arn:aws:secretsmanager:{region}:{account}:secret:{name}-AbCdEf"
        self[arn] = {"name": name, "value": value, "tags": dict(tags), "key": key}
        return arn, key or key_arn("secretsmanager")

    def put(self, account: str, region: str, arn: str, value: str) -> None:
        self[arn]["value"] = value

    def delete(self, account: str, region: str, arn: str) -> None:
        del self[arn]


@dataclass
class Opened:
    address: str
    port: int


class Plane:
    """A data plane that writes down what it is asked for."""

    enabled = True

    def __init__(self) -> None:
        self.done: list[tuple[Any, ...]] = []
        self.open: dict[Any, str] = {}
        self.broken: str | None = None
        self.marks: list[datetime] = []

    def mark(self, instant: datetime) -> None:
        self.marks.append(instant)

    def __getattr__(self, name: str) -> Any:
        def note(*arguments: Any) -> None:
            if self.broken == name:
                raise RuntimeError("no space left")
            self.done.append((name, *arguments))

        return note

    def open_endpoint(self, key: Any, volume_id: str, port: int) -> Opened:
        self.open[key] = volume_id
        return Opened(f"{key.cluster}.{key.role}.local", port)

    def close_endpoint(self, key: Any) -> None:
        del self.open[key]


class World:
    """An RDS, and short words for what tests do with it."""

    def __init__(self, plane: Plane | None = None, start: datetime = datetime(2026, 11, 1, 12, tzinfo=UTC)) -> None:
        self.clock = VirtualClock(start=start)
        self.secrets = Secrets()
        self.keys = Keys()
        # Actions that callers may not do, or (action, value of kms:ViaService).
        self.denied: set[str | tuple[str, str]] = set()
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self.plane = plane
        self.rds = RdsService(
            self.clock,
            timings=Timings(),
            data_plane=plane,
            keys=self.keys,
            secrets=self.secrets,
            network=Network(),
            authorize_as_caller=self.authorize,
        )

    def authorize(
        self, principal: Principal, action: str, resource: str, context: Mapping[str, str], region: str
    ) -> None:
        self.asked.append((action, resource, dict(context)))
        if {action, (action, context.get("kms:ViaService", ""))} & self.denied:
            raise AwsError("AccessDenied", f"User: {principal.arn} is not authorized to perform: {action}", 403)

    def call(self, operation: str, account: str = ACCOUNT, region: str = REGION, /, **params: Any) -> Any:
        principal = Principal(account=account, arn=ROLE, role_name="restore")
        return self.rds.handle(Call("rds", operation, region, account, principal, params))

    def after(self, seconds: float) -> None:
        self.clock.sleep(seconds)

    # ---- things that most tests need

    def cluster(self, name: str = "source", **params: Any) -> dict[str, Any]:
        """Create a cluster and wait for it."""
        given = {"Engine": "aurora-mysql", "EngineVersion": "8.0.mysql_aurora.3.08.2", "MasterUsername": "admin"}
        given |= {"MasterUserPassword": PASSWORD} if "ManageMasterUserPassword" not in params else {}
        self.call("CreateDBCluster", DBClusterIdentifier=name, **{**given, **params})
        self.after(self.rds.timings.cluster_create + 1)
        return self.shown(name)

    def instance(self, name: str, cluster: str = "source", **params: Any) -> dict[str, Any]:
        """Create an instance and wait for it."""
        given = {"DBInstanceClass": "db.r6g.large", "Engine": self.shown(cluster)["Engine"]}
        self.call("CreateDBInstance", DBInstanceIdentifier=name, DBClusterIdentifier=cluster, **{**given, **params})
        self.after(self.rds.timings.instance_create + 100)
        return self.instance_shown(name)

    def share(self, name: str, *accounts: str) -> None:
        """Share a snapshot with accounts."""
        self.call(
            "ModifyDBClusterSnapshotAttribute",
            DBClusterSnapshotIdentifier=name,
            AttributeName="restore",
            ValuesToAdd=list(accounts),
        )

    def snapshot(self, name: str = "snap", cluster: str = "source", **params: Any) -> dict[str, Any]:
        """Take a snapshot and wait for it."""
        self.call("CreateDBClusterSnapshot", DBClusterSnapshotIdentifier=name, DBClusterIdentifier=cluster, **params)
        self.after(self.rds.timings.snapshot(1) + 1)
        [shown] = self.call("DescribeDBClusterSnapshots", DBClusterSnapshotIdentifier=name)["DBClusterSnapshots"]
        return dict(shown)

    def restore(self, name: str = "target", snapshot: str = "snap", **params: Any) -> dict[str, Any]:
        """Restore and wait."""
        self.begin_restore(name, snapshot, **params)
        self.after(self.rds.timings.restore(1) + 1)
        return self.shown(name)

    def begin_restore(self, name: str = "target", snapshot: str = "snap", **params: Any) -> dict[str, Any]:
        given = {"Engine": "aurora-mysql", "EngineVersion": "8.0.mysql_aurora.3.08.2"}
        answer = self.call(
            "RestoreDBClusterFromSnapshot", DBClusterIdentifier=name, SnapshotIdentifier=snapshot, **{**given, **params}
        )
        return dict(answer["DBCluster"])

    def shown(self, name: str) -> dict[str, Any]:
        [cluster] = self.call("DescribeDBClusters", DBClusterIdentifier=name)["DBClusters"]
        return dict(cluster)

    def instance_shown(self, name: str) -> dict[str, Any]:
        [instance] = self.call("DescribeDBInstances", DBInstanceIdentifier=name)["DBInstances"]
        return dict(instance)

    def modify(self, name: str = "source", **params: Any) -> dict[str, Any]:
        """Modify at once and wait until it is over."""
        self.call("ModifyDBCluster", DBClusterIdentifier=name, **{"ApplyImmediately": True, **params})
        self.after(1000)
        return self.shown(params.get("NewDBClusterIdentifier", name))

    def statuses(self, name: str, seconds: float, step: float = 5) -> list[str]:
        """Return the different statuses that a cluster shows one after the other."""
        seen = [self.shown(name)["Status"]]
        for _ in range(int(seconds / step)):
            self.after(step)
            seen.append(self.shown(name)["Status"])
        return [status for index, status in enumerate(seen) if index == 0 or status != seen[index - 1]]

    def messages(self, **params: Any) -> list[str]:
        """Return the texts of the events."""
        return [event["Message"] for event in self.call("DescribeEvents", **params)["Events"]]


@contextmanager
def world(**settings: Any) -> Iterator[World]:
    """A world whose time passes only when the test lets it."""
    made = World(**settings)
    try:
        with made.clock.busy():
            yield made
    finally:
        made.clock.close()


@contextmanager
def refused(code: str, text: str | None = None) -> Iterator[None]:
    """Expect AWS's refusal, by the code on the wire."""
    with pytest.raises(AwsError, match=text) as caught:
        yield
    assert caught.value.code == code
