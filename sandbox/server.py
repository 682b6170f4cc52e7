"""The sandbox as one object: every part put together behind one HTTP server on the loopback interface."""

from __future__ import annotations

import os
import socket
import tempfile
import threading
import uuid
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import boto3
from botocore import xform_name
from botocore.exceptions import ClientError
from moto.moto_server.werkzeug_app import MotoRequestHandler
from werkzeug.serving import make_server

from sandbox import DEFAULT_MAX_SERVERS, moto_support
from sandbox.authz import AccessDenied, Authorizer
from sandbox.clock import VirtualClock
from sandbox.control import Control
from sandbox.core import AwsError
from sandbox.dataplane import DataPlane
from sandbox.faults import Faults
from sandbox.functions import FunctionRunner
from sandbox.gateway import Gateway
from sandbox.inventory import take_inventory
from sandbox.principals import ADMIN_SECRET, Registry, StsService, admin_key
from sandbox.rds import RdsService
from sandbox.recorder import Recorder, as_dict
from sandbox.stepfunctions import StepFunctionsService

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from sandbox.core import Call, Principal

HOST = "127.0.0.1"
DEFAULT_ACCOUNT = "111122223333"
DEFAULT_REGION = "eu-west-1"

# `make setup` puts the Lambda runtime's Python and boto3 there; without it functions run on the sandbox's own.
_LAMBDA_PYTHON = Path(__file__).resolve().parents[1] / ".venv-lambda" / "bin" / "python"


class _Handler(MotoRequestHandler):
    # moto's keeps the S3 metadata headers that have underscores.
    disable_nagle_algorithm = True  # head and body are two writes: with Nagle's delay an answer would take 40 ms

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing: the recorder knows more."""


class Sandbox:
    """An AWS on this machine.

    ``time_scale`` is how much faster than real time virtual time runs; None makes it jump to the next event whenever
    nothing is at work. ``state_dir`` takes the files of databases and functions (a temporary folder if None); nothing
    that the sandbox wrote there is left when it stops. ``max_servers`` is how many databases may run
    at once. moto keeps its state in the process: one sandbox at a time.
    """

    _one: ClassVar[threading.Lock] = threading.Lock()

    def __init__(
        self,
        port: int = 0,
        time_scale: float | None = None,
        state_dir: Path | None = None,
        data_plane: bool = True,
        max_servers: int = DEFAULT_MAX_SERVERS,
    ) -> None:
        self._port = port
        self._time_scale = time_scale
        self._state_dir = state_dir
        self._with_data_plane = data_plane
        self._max_servers = max_servers
        self._started = False
        self._ends = ExitStack()

    def start(self) -> None:
        """Build the parts and serve."""
        if not self._one.acquire(blocking=False):
            raise RuntimeError("another sandbox runs in this process")
        self._ends.callback(self._one.release)
        self._started = True
        try:
            self._build()
        except BaseException:
            self.stop()
            raise

    def _build(self) -> None:
        root = self._make_root()
        moto = moto_support.Moto()
        self._ends.callback(moto.reset)
        self.faults = Faults()
        self.clock = VirtualClock(self._time_scale)
        self._ends.callback(self.clock.close)  # should what follows fail; else it is closed first, see below
        self.recorder = Recorder(self.clock.now, moto_support.put_metrics)
        self.principals = Registry()

        # The authorizer asks RDS and Step Functions for tags, and they ask the authorizer what a caller may do.
        self.authorizer = Authorizer(
            rds_tags=lambda arn: self.rds.resource_tags(arn), states_tags=lambda arn: self.states.tags(arn)
        )
        self._ends.callback(self.authorizer.close)
        self.data_plane = DataPlane(root / "databases", enabled=self._with_data_plane, max_servers=self._max_servers)
        self._ends.callback(self.data_plane.close)
        self.rds = RdsService(self.clock, data_plane=self.data_plane, authorize_as_caller=self.authorizer.check_action)
        self.functions = FunctionRunner(
            self.clock,
            self.principals,
            state_dir=root,
            endpoint_url=lambda: self.url,
            log=_write_log,
            metrics=self.recorder.add_metrics,
            faults=self.faults,
            authorizer=self.authorizer,
            python=_LAMBDA_PYTHON if _LAMBDA_PYTHON.exists() else None,
        )
        self._ends.callback(self.functions.close)
        self.states = StepFunctionsService(
            self.clock,
            self.functions,
            self.principals,
            self.authorizer,
            log=_write_log,
            call_as=self._call_as,
            record=self.recorder.record,
        )
        sts = StsService(self.principals, moto_support.role_id)
        self._ends.callback(self.clock.close)  # before anything that its callbacks or its sleepers use
        self._serve(
            Gateway(
                clock=self.clock,
                registry=self.principals,
                services={"rds": self.rds, "states": self.states, "sts": sts},
                operations={("lambda", "Invoke"): self.functions},
                checks={
                    ("lambda", "CreateFunction"): self._check_execution_role,
                    ("lambda", "UpdateFunctionConfiguration"): self._check_execution_role,
                    ("application-autoscaling", "RegisterScalableTarget"): self.rds.check_scalable_target,
                },
                waiting=self.functions.waiting,
                moto=moto,
                authorizer=self.authorizer,
                faults=self.faults,
                recorder=self.recorder,
                control=Control(self),
            )
        )

    def _serve(self, gateway: Gateway) -> None:
        # Bound here, because werkzeug ends the process when the port is taken.
        with socket.create_server((HOST, self._port), backlog=128) as bound:
            port = bound.getsockname()[1]
            server = make_server(HOST, port, gateway, threaded=True, request_handler=_Handler, fd=bound.fileno())
        self._ends.callback(server.server_close)
        self.url = f"http://{HOST}:{port}"
        threading.Thread(target=server.serve_forever, args=(0.05,), name="sandbox-server", daemon=True).start()
        self._ends.callback(server.shutdown)

    def _make_root(self) -> Path:
        """Make the folder for files; it goes, with everything in it, at the end."""
        if self._state_dir is not None:
            self._state_dir.mkdir(parents=True, exist_ok=True)
        # This one is removed at the interpreter's exit even if nobody calls stop().
        made = tempfile.TemporaryDirectory(prefix="aurora-sandbox-", dir=self._state_dir, ignore_cleanup_errors=True)
        root = Path(self._ends.enter_context(made))
        root.chmod(0o711)  # the database servers' users must get through, where they are others than ours
        return root

    def stop(self) -> None:
        """End everything, in the reverse order of its making; harmless when it was done before."""
        self._started = False
        self._ends.close()

    def __enter__(self) -> Self:
        if not self._started:
            self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def env(self, account: str = DEFAULT_ACCOUNT, region: str = DEFAULT_REGION) -> dict[str, str]:
        """Return the environment that points the aws CLI, every SDK and terraform here, as the account's administrator.

        S3 needs no setting: SDKs use path-style addresses when the endpoint's host is an IP address.
        """
        inherited = (os.environ.get("NO_PROXY") or os.environ.get("no_proxy") or "").split(",")
        no_proxy = ",".join(dict.fromkeys(filter(None, [*inherited, HOST, "localhost"])))
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": admin_key(account),
            "AWS_SECRET_ACCESS_KEY": ADMIN_SECRET,
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_PAGER": "",
            "NO_PROXY": no_proxy,
            "no_proxy": no_proxy,  # wins over the other in Python
        }

    def client(self, service: str, account: str = DEFAULT_ACCOUNT, region: str = DEFAULT_REGION) -> Any:
        """Return a boto3 client of the account's administrator."""
        name: Any = service
        return self._session(account, region).client(name, endpoint_url=self.url)

    def resource(self, service: str, account: str = DEFAULT_ACCOUNT, region: str = DEFAULT_REGION) -> Any:
        """Return a boto3 resource of the account's administrator."""
        name: Any = service
        return self._session(account, region).resource(name, endpoint_url=self.url)

    def _call_as(
        self, principal: Principal, service: str, operation: str, region: str, params: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Make an API call as a role's session, through the front door: authorized, recorded, with faults."""
        key, secret, token = self.principals.credentials(principal)
        name: Any = service
        client: Any = boto3.Session(key, secret, token, region).client(name, endpoint_url=self.url)
        try:
            answer = getattr(client, xform_name(operation))(**params)
        except ClientError as error:
            described = error.response["Error"]
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            raise AwsError(described["Code"], described["Message"], status) from error
        return {name: value for name, value in answer.items() if name != "ResponseMetadata"}

    def _check_execution_role(self, call: Call) -> None:
        """Refuse a function whose role Lambda cannot use (Lambda API reference: InvalidParameterValueException)."""
        role, name = call.params.get("Role"), call.params["FunctionName"]
        if role is None:
            return
        function = name if name.startswith("arn:") else f"arn:aws:lambda:{call.region}:{call.account}:function:{name}"
        try:
            self.authorizer.check_service("lambda.amazonaws.com", role, function)
        except AccessDenied as error:
            raise AwsError(
                "InvalidParameterValueException", "The role defined for the function cannot be assumed by Lambda."
            ) from error
        if call.params.get("VpcConfig", {}).get("SubnetIds"):
            principal = self.principals.lookup(self.principals.issue(role, "lambda")[0])
            interface = f"arn:aws:ec2:{call.region}:{call.account}:network-interface/eni-0123456789abcdef0"
            # It is Lambda that asks, not the function's code: policies tell them apart by this key.
            context: Any = {"lambda:SourceFunctionArn": None}
            try:
                self.authorizer.check_action(principal, "ec2:CreateNetworkInterface", interface, context, call.region)
            except AccessDenied as error:
                raise AwsError(
                    "InvalidParameterValueException",
                    "The provided execution role does not have permissions to call CreateNetworkInterface on EC2",
                ) from error

    def _session(self, account: str, region: str) -> boto3.Session:
        return boto3.Session(
            aws_access_key_id=admin_key(account), aws_secret_access_key=ADMIN_SECRET, region_name=region
        )

    @property
    def ca_pem(self) -> str:
        """The certificate of the CA that signed the databases' certificates."""
        return str(self.data_plane.ca.pem)

    def take_automated_snapshot(self, cluster: str, account: str | None = None, region: str | None = None) -> str:
        """Take the snapshot of a cluster that AWS takes nightly; returns its ARN."""
        return self.rds.take_automated_snapshot(account or DEFAULT_ACCOUNT, region or DEFAULT_REGION, cluster)

    def take_backup_snapshot(
        self, cluster: str, account: str | None = None, region: str | None = None, job: str | None = None
    ) -> str:
        """Take a snapshot of a cluster as a job of AWS Backup does; returns its ARN."""
        where = (account or DEFAULT_ACCOUNT, region or DEFAULT_REGION)
        return self.rds.take_backup_snapshot(*where, cluster, job or str(uuid.uuid4()))

    def join_organization(self, organization: str, *accounts: str) -> None:
        """Make accounts members of an AWS organization ("o-…"), for conditions like aws:PrincipalOrgID."""
        self.authorizer.organizations |= dict.fromkeys(accounts, organization)

    def inventory(self, account: str | None = None, region: str | None = None) -> dict[str, list[dict[str, Any]]]:
        """Return what there is in an account and region."""
        where = (account or DEFAULT_ACCOUNT, region or DEFAULT_REGION)
        return take_inventory(lambda service: self.client(service, *where))

    def messages(self) -> list[dict[str, Any]]:
        """Return the messages that SNS topics took: time, topic_arn, subject, message, attributes, …"""
        return [as_dict(message) for message in self.recorder.messages()]

    def metrics(self) -> list[dict[str, Any]]:
        """Return the metric values that functions wrote: time, namespace, name, value, dimensions, …"""
        return [as_dict(metric) for metric in self.recorder.metrics()]

    def logs(self, group: str, account: str = DEFAULT_ACCOUNT, region: str = DEFAULT_REGION) -> list[str]:
        """Return the lines of a log group, by time."""
        return [event["message"] for event in self.log_events(group, account, region)]

    def log_events(
        self, group: str | None = None, account: str | None = None, region: str | None = None
    ) -> list[dict[str, Any]]:
        """Return the events of a log group, or of all: time, group, stream, message."""
        events = moto_support.log_events(account or DEFAULT_ACCOUNT, region or DEFAULT_REGION, group)
        return [
            {"time": datetime.fromtimestamp(event.pop("timestamp") / 1000, UTC).isoformat(), **event}
            for event in events
        ]


def _write_log(account: str, region: str, group: str, stream: str, lines: Sequence[tuple[datetime, str]]) -> None:
    events = [(round(when.timestamp() * 1000), line) for when, line in lines]
    moto_support.put_log_events(account, region, group, stream, events)
