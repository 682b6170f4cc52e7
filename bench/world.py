"""The world of the waiting and fleet benchmarks: our state machine, our handlers, the sandbox's RDS and interpreter.

The real definition runs in the sandbox's Step Functions interpreter on the virtual clock. The handlers run in this
process, behind the same port through which the interpreter otherwise reaches the Lambda runner: a lap through the real
zip takes a process, HTTP and signatures (tens of milliseconds), and the tables need some 100,000 laps. It also keeps
the SDK's retries in virtual time, which a real SDK sleeps through in real time, while the virtual second stands still.
What is left out is what does not change with waiting: IAM, HTTP, the data plane.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import logging
import os
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import botocore.session
from botocore import xform_name
from botocore.exceptions import ClientError

from bench.tables import Tables
from sandbox.clock import Handle, VirtualClock
from sandbox.core import AwsError, Call, Principal
from sandbox.faults import Faults
from sandbox.principals import Registry, admin_of
from sandbox.rds import RdsService, Timings
from sandbox.rds.ports import KeyFacts, SubnetFacts
from sandbox.stepfunctions import StepFunctionsService
from sandbox.stepfunctions.execution import Execution

ROOT = Path(__file__).resolve().parent.parent
ACCOUNT, REGION, OTHER_REGION = "111122223333", "eu-west-1", "eu-central-1"
START = datetime(2026, 11, 2, 6, tzinfo=UTC)
KEYS = {
    region: f"arn:aws:kms:{region}:{ACCOUNT}:key/11111111-2222-3333-4444-555555555555"
    for region in (REGION, OTHER_REGION)
}
KEY = KEYS[REGION]
TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:restore"
MACHINE = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:restore"
SNAPSHOT = "source-snapshot"
ENGINE, VERSION = "aurora-postgresql", "15.10"

INVOCATION = 0.5
"""Virtual seconds that an invocation takes."""
SDK_ATTEMPTS, SDK_MAX_BACKOFF = 6, 20.0
"""botocore's standard retry mode, as sessions.py asks for it: random() * 2^n seconds, 20 at most, between attempts."""


@cache
def _operations(service: str) -> Mapping[str, str]:
    """boto3's method names and the operations that they mean."""
    model = botocore.session.get_session().get_service_model(service)
    return {xform_name(name): name for name in model.operation_names}


@cache
def _meta(service: str) -> Any:
    name: Any = service
    return boto3.client(name, region_name=REGION, aws_access_key_id="x", aws_secret_access_key="x").meta


class Client:
    """A boto3 client of one service and region, whose calls go straight to ``send``; it retries as boto3 does."""

    def __init__(self, world: World, service: str, region: str) -> None:
        self._world, self._service, self._region = world, service, region
        self.meta = _meta(service)

    def __getattr__(self, name: str) -> Any:
        operation = _operations(self._service).get(name)
        if operation is None:
            raise AttributeError(name)
        return lambda **params: self._call(operation, params)

    def get_paginator(self, name: str) -> Any:
        """Pages by Marker."""
        return _Paginator(getattr(self, name))

    def _call(self, operation: str, params: Mapping[str, Any]) -> Any:
        for attempt in range(SDK_ATTEMPTS):
            try:
                return self._world.send(self._service, operation, self._region, params)
            except AwsError as error:
                if error.code != "Throttling" or attempt == SDK_ATTEMPTS - 1:
                    response: Any = {
                        "Error": {"Code": error.code, "Message": error.message},
                        "ResponseMetadata": {"HTTPStatusCode": error.status},
                    }
                    raise ClientError(response, operation) from error
                self._world.clock.sleep(min(self._world.random.random() * 2**attempt, SDK_MAX_BACKOFF))
        raise AssertionError("unreachable")


class _Paginator:
    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def paginate(self, PaginationConfig: Mapping[str, int] | None = None, **params: Any) -> Iterator[Any]:  # noqa: N803
        if PaginationConfig:
            params["MaxRecords"] = PaginationConfig["PageSize"]
        page = self._call(**params)
        yield page
        while marker := page.get("Marker"):
            page = self._call(**params, Marker=marker)
            yield page


class _Aws:
    """In the place of aurora_restore.sessions.Sessions."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.region = REGION
        self.rds, self.kms, self.sns = self.rds_in(REGION), self.kms_in(REGION), Client(world, "sns", REGION)
        self.stepfunctions = Client(world, "stepfunctions", REGION)
        self.ec2 = Client(world, "ec2", REGION)
        self.autoscaling = Client(world, "application-autoscaling", REGION)
        self.dynamodb = world.tables

    def rds_in(self, region: str) -> Client:
        return Client(self._world, "rds", region)

    def kms_in(self, region: str) -> Client:
        return Client(self._world, "kms", region)


class _ProbedClock:
    """The clock as RDS gets it: after each of RDS's own changes the world looks what has become ready."""

    def __init__(self, clock: VirtualClock, probe: Callable[[], None]) -> None:
        self._clock, self._probe = clock, probe

    def __getattr__(self, name: str) -> Any:
        return getattr(self._clock, name)

    def call_later(self, seconds: float, fn: Callable[[], None], *, background: bool = False) -> Handle:
        def run() -> None:
            fn()
            self._probe()

        return self._clock.call_later(seconds, run, background=background)


class _Network:
    """One VPC."""

    _facts = tuple(SubnetFacts(f"subnet-{zone}", "vpc-1", f"{REGION}{zone}") for zone in "abc")

    def subnets(self, account: str, region: str, subnet_ids: list[str]) -> list[SubnetFacts]:
        return [facts for facts in self._facts if facts.subnet in subnet_ids]

    def default_subnets(self, account: str, region: str) -> list[SubnetFacts]:
        return list(self._facts)

    def default_security_group(self, account: str, region: str, vpc: str) -> str | None:
        return "sg-default"

    def security_group_vpc(self, account: str, region: str, group: str) -> str | None:
        return "vpc-1"


class _Keys:
    """One customer key in each region."""

    def find(self, account: str, region: str, key: str) -> KeyFacts | None:
        return KeyFacts(key, enabled=True, aws_managed=False) if key in KEYS.values() else None

    def grant(self, key_arn: str, name: str) -> str:
        return name

    def is_granted(self, key_arn: str, grant: str) -> bool:
        return True

    def retire(self, key_arn: str, grant: str) -> None:
        pass


class _Secrets:
    def create(
        self, account: str, region: str, name: str, value: str, description: str, key: str | None, tags: Any
    ) -> tuple[str, str]:
        return f"arn:aws:secretsmanager:{region}:{account}:secret:{name}-AbCdEf", key or KEY

    def put(self, account: str, region: str, arn: str, value: str) -> None:
        pass

    def delete(self, account: str, region: str, arn: str) -> None:
        pass


@dataclass(frozen=True)
class _Answer:
    payload: bytes
    function_error: str | None = None
    version: str = "1"


@dataclass(frozen=True)
class _LambdaContext:
    function_name: str
    memory_limit_in_mb: int = 512
    invoked_function_arn: str = ""
    aws_request_id: str = "bench"


@dataclass
class Phase:
    """What happened to one phase: when RDS was ready with it, and when the workflow had seen that."""

    begun: datetime
    ready: datetime | None = None
    seen: datetime | None = None
    looks: int = 0

    @property
    def latency(self) -> float:
        """Seconds from ready to seen."""
        assert self.ready is not None, "the workflow saw what was not there"
        assert self.seen is not None
        return (self.seen - self.ready).total_seconds()


@dataclass(frozen=True)
class RdsCall:
    """One request to RDS as it arrives there, retries included."""

    at: datetime
    operation: str
    error: str | None


@dataclass
class World:
    """One account with a snapshot and our pipeline; ``probed`` says whether phases are timed.

    With ``copies`` the snapshot is in another region, so that it has to be copied.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    timings: Timings = field(default_factory=Timings)
    size_gib: int = 50
    copies: bool = False
    seed: int = 0
    probed: bool = True

    def __post_init__(self) -> None:
        self.clock = VirtualClock(start=START)
        self.random = random.Random(self.seed)
        self.faults = Faults()
        self.tables = Tables(ACCOUNT, REGION, {"State": ["operation_id"], "Audit": ["operation_id", "event_id"]})
        self.calls: list[RdsCall] = []
        self.phases: dict[str, Phase] = {}
        self.invocations: Counter[str] = Counter()
        self._waiting_for: tuple[str, Callable[[], bool]] | None = None
        probed: Any = _ProbedClock(self.clock, self._probe)
        self.rds = RdsService(
            probed if self.probed else self.clock,
            timings=self.timings,
            keys=_Keys(),
            secrets=_Secrets(),
            network=_Network(),
        )
        for quota in ("DBClusters", "DBInstances", "ManualClusterSnapshots"):
            self.rds.kit.quotas[quota] = 1_000_000
        self.states = StepFunctionsService(self.clock, self, Registry(), seed=self.seed)
        self._aws = _Aws(self)
        self._use_handlers()
        self._make_source()
        self._create_machine()

    def close(self) -> None:
        """Stop the clock."""
        self.states.close()
        self.clock.close()

    # ---- what is there before

    def _use_handlers(self) -> None:
        """Let the handlers run in this world: their settings and clients are the process's, made once."""
        os.environ.update(POWERTOOLS_METRICS_DISABLED="true", POWERTOOLS_SERVICE_NAME="bench", AWS_REGION=REGION)
        from aurora_restore import runtime, settings

        runtime.logger.setLevel(logging.CRITICAL)
        values: dict[str, Any] = {
            "deployment": "restore",
            "state_table": "State",
            "audit_table": "Audit",
            "topic_arn": TOPIC,
            "kms_key_arn": KEY,
            "secret_prefix": "aurora-restore/restore",
            "region": REGION,
            "deadlines": dict.fromkeys(settings.PHASES_WITH_DEADLINES, 172_800),
        }
        made = settings.Settings(**{**values, **self.settings})
        runtime.settings = lambda: made  # type: ignore[assignment]
        runtime.sessions = lambda: self._aws  # type: ignore[assignment]

    def _make_source(self) -> None:
        with self.clock.busy():
            for region in {REGION, self.source_region}:
                self._admin("CreateDBSubnetGroup", region, DBSubnetGroupName="databases",
                            DBSubnetGroupDescription="bench", SubnetIds=["subnet-a", "subnet-b"])  # fmt: skip
            region = self.source_region
            self._admin("CreateDBCluster", region, DBClusterIdentifier="source", Engine=ENGINE, EngineVersion=VERSION,
                        MasterUsername="harbour_admin", MasterUserPassword="correct-horse-9", StorageEncrypted=True,
                        KmsKeyId=KEYS[region], DBSubnetGroupName="databases")  # fmt: skip
            self.clock.advance(self.timings.cluster_create + 1)
            self.rds.set_volume_size(ACCOUNT, region, "source", self.size_gib)
            self._admin("CreateDBInstance", region, DBInstanceIdentifier="source-1", DBClusterIdentifier="source",
                        Engine=ENGINE, DBInstanceClass="db.r6g.large")  # fmt: skip
            self.clock.advance(self.timings.instance_create + 60)
            self._admin("CreateDBClusterSnapshot", region, DBClusterSnapshotIdentifier=SNAPSHOT,
                        DBClusterIdentifier="source")  # fmt: skip
            self.clock.advance(self.timings.snapshot(self.size_gib) + 1)

    @property
    def source_region(self) -> str:
        """Where the snapshot is."""
        return OTHER_REGION if self.copies else REGION

    def _admin(self, operation: str, region: str = REGION, **params: Any) -> Mapping[str, Any]:
        return self.rds.handle(Call("rds", operation, region, ACCOUNT, admin_of(ACCOUNT), params))

    def _create_machine(self) -> None:
        definition = render(ROOT / "statemachine.asl.json")
        self._states(
            "CreateStateMachine",
            name="restore",
            definition=json.dumps(definition),
            roleArn=f"arn:aws:iam::{ACCOUNT}:role/states",
        )

    def _states(self, operation: str, **params: Any) -> Mapping[str, Any]:
        return self.states.handle(Call("states", operation, REGION, ACCOUNT, admin_of(ACCOUNT), params))

    # ---- operations

    def start(self, operation_id: str) -> Execution:
        """Start the restore of the snapshot as a new cluster."""
        request = {
            "operation_id": operation_id,
            "snapshot_identifier": SNAPSHOT,
            "target_cluster_id": operation_id,
            "db_instance_class": "db.r6g.large",
            "db_subnet_group_name": "databases",
            "vpc_security_group_ids": ["sg-1"],
            "source_region": self.source_region,
        }
        started = self._states("StartExecution", stateMachineArn=MACHINE, name=operation_id, input=json.dumps(request))
        return self.states.execution(started["executionArn"])

    # ---- the port of the interpreter

    def invoke(self, function_arn: str, payload: bytes, *, invoker: Principal | None) -> _Answer:
        """Run the handler; its error is the function's error, as Lambda reports it."""
        name, event = function_arn.split(":")[6], json.loads(payload)
        self.invocations[name] += 1
        observed = _observed(event) if self.probed else None
        if observed:
            self._look_begins(observed, event)
        with self.clock.busy():
            try:
                answer = _Answer(json.dumps(self._handler(name)(event, _LambdaContext(name))).encode())
            except Exception as error:  # noqa: BLE001  whatever a handler raises is the function's error
                document = {"errorType": type(error).__name__, "errorMessage": str(error)}
                answer = _Answer(json.dumps(document).encode(), "Unhandled")
        self.clock.sleep(INVOCATION)
        if observed and answer.function_error is None:
            self._look_ends(observed, json.loads(answer.payload)["state"] == "READY")
        return answer

    def _handler(self, name: str) -> Callable[[dict[str, Any], object], Any]:
        return importlib.import_module(f"aurora_restore.handlers.{name}").handler  # type: ignore[no-any-return]

    def send(self, service: str, operation: str, region: str, params: Mapping[str, Any]) -> Any:
        """Answer a call of a handler's client."""
        call = Call(service, operation, region, ACCOUNT, admin_of(ACCOUNT), params)
        if service == "rds":
            try:
                self.faults.admit(call, self.clock.now())
                answer = self.rds.handle(call)
            except AwsError as error:
                self.calls.append(RdsCall(self.clock.now(), operation, error.code))
                raise
            self.calls.append(RdsCall(self.clock.now(), operation, None))
            return answer
        if (service, operation) == ("sns", "Publish"):
            return {"MessageId": "1"}
        if (service, operation) == ("kms", "DescribeKey"):
            facts = {"KeyState": "Enabled", "KeyManager": "CUSTOMER", "KeySpec": "SYMMETRIC_DEFAULT"}
            return {"KeyMetadata": {"Arn": params["KeyId"], "KeyUsage": "ENCRYPT_DECRYPT", "Enabled": True, **facts}}
        if (service, operation) == ("ec2", "DescribeSecurityGroups"):
            return {"SecurityGroups": [{"GroupId": "sg-1", "VpcId": "vpc-1"}]}
        if (service, operation) == ("application-autoscaling", "DescribeScalableTargets"):
            return {"ScalableTargets": []}
        raise AwsError("NotEmulated", f"the benchmark's world has no {service}:{operation}", 501)

    # ---- when RDS was ready

    def _look_begins(self, name: str, event: Mapping[str, Any]) -> None:
        phase = self.phases.setdefault(name, Phase(self.clock.now()))
        phase.looks += 1
        if phase.looks == 1:
            self._waiting_for = (name, self._truth(event))
            self._probe()

    def _look_ends(self, name: str, ready: bool) -> None:
        phase = self.phases[name]
        if ready and phase.seen is None:
            phase.seen, self._waiting_for = self.clock.now(), None

    def _probe(self) -> None:
        if self._waiting_for is None:
            return
        name, truth = self._waiting_for
        phase = self.phases[name]
        if not truth():
            phase.ready = None
        elif phase.ready is None:
            phase.ready = self.clock.now()

    def _truth(self, event: Mapping[str, Any]) -> Callable[[], bool]:
        """Whether RDS is ready with a phase, by the package's own rules, past the client that counts."""
        if event["step"] == "ObserveCopy":
            return lambda: self._copied(event["ordinal"])
        from aurora_restore import runtime
        from aurora_restore.engine.aurora import Aurora
        from aurora_restore.readiness import State
        from aurora_restore.state import StateStore

        store: Any = self.tables
        plan = StateStore(store, runtime.settings()).load(event["operation_id"], event["execution_arn"]).planned
        direct: Any = _Direct(self)
        return lambda: Aurora(direct).observe(event["phase"], plan, seen=True)[0].state is State.READY

    def _copied(self, ordinal: int) -> bool:
        """The copies up to this one are available, in whichever region they are."""
        found = [copy for region in self.rds.kit.store for copy in region.snapshots.values()]
        copies = [copy for copy in found if "SourceDBClusterSnapshotArn" in copy.facts]
        return len(copies) >= ordinal and all(copy.status == "available" for copy in copies)


class _Direct:
    """An RDS client that is neither counted nor throttled."""

    def __init__(self, world: World) -> None:
        self._world = world

    def __getattr__(self, name: str) -> Any:
        def call(**params: Any) -> Any:
            try:
                return self._world._admin(_operations("rds")[name], **params)
            except AwsError as error:
                response: Any = {"Error": {"Code": error.code, "Message": error.message}}
                raise ClientError(response, name) from error

        return call

    def get_paginator(self, name: str) -> Any:
        return _Paginator(getattr(self, name))


def render(path: Path) -> dict[str, Any]:
    """The definition as Terraform's templatefile makes it, with a function's key for its name."""
    values = {"partition": "aws", "defaults_json": "{}"}

    def value(match: re.Match[str]) -> str:
        name = match[1]
        if name.endswith("_arn"):
            return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name.removesuffix('_arn')}"
        return values.get(name, "{}")

    definition: dict[str, Any] = json.loads(re.sub(r"\$\{(\w+)\}", value, path.read_text()))
    return definition


def transitions(execution: Execution) -> int:
    """State transitions as they are billed: states entered, and retries."""
    kinds = Counter(event["type"] for event in execution.history.events)
    entered = sum(count for kind, count in kinds.items() if kind.endswith("StateEntered"))
    retries = kinds["TaskScheduled"] - kinds["TaskStateEntered"]
    return entered + max(0, retries)


def _observed(event: Mapping[str, Any]) -> str | None:
    """The phase that an invocation looks at, if it is a look."""
    return f"copy-{event['ordinal']}" if event["step"] == "ObserveCopy" else event.get("phase")


@contextlib.contextmanager
def world(**options: Any) -> Iterator[World]:
    """A world that ends."""
    made = World(**options)
    try:
        yield made
    finally:
        made.close()
