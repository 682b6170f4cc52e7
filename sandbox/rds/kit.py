"""What every group of RDS operations shares: state, clock, neighbours, and how a resource's status goes on."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from sandbox.core import AwsError
from sandbox.rds.catalogue import Catalogue
from sandbox.rds.errors import invalid_value, key_not_accessible
from sandbox.rds.events import EventLog
from sandbox.rds.jobs import Jobs
from sandbox.rds.ports import KeyFacts
from sandbox.rds.store import AVAILABLE, CREATING, Encryption, Region, Resource, Store
from sandbox.rds.timings import Timings

if TYPE_CHECKING:
    from sandbox.clock import VirtualClock
    from sandbox.core import Call
    from sandbox.rds.ports import Authorize, DataPlane, Keys, Network, Secrets
    from sandbox.rds.store import Place

_log = logging.getLogger(__name__)

T = TypeVar("T")
R = TypeVar("R", bound=Resource)

# Since this day every new cluster is encrypted, by default with a key that AWS owns (AUG-ENC).
ALWAYS_ENCRYPTED_SINCE = datetime(2026, 2, 18, tzinfo=UTC)

# Statuses in which something is still going on (AUG-STATUS): neither changes nor deletion are taken.
TRANSIENT = frozenset(
    {
        CREATING,
        "migrating",
        "preparing-data-migration",
        "modifying",
        "renaming",
        "resetting-master-credentials",
        "configuring-iam-database-auth",
        "upgrading",
        "rebooting",
        "starting",
        "stopping",
        "failing-over",
        "deleting",
    }
)

# RUG-LIMITS: what an account may have per region, under the names of DescribeAccountAttributes.
QUOTAS = {
    "DBInstances": 40,
    "DBClusters": 40,
    "ManualClusterSnapshots": 100,
    "ManualSnapshots": 100,
    "DBClusterParameterGroups": 50,
    "DBParameterGroups": 50,
    "DBSubnetGroups": 50,
    "SubnetsPerDBSubnetGroup": 20,
    "DBClusterRoles": 5,
    "CustomEndpointsPerDBCluster": 5,
    "EventSubscriptions": 20,
    "ReadReplicasPerMaster": 15,
    "AllocatedStorage": 100_000,
}
# Limits that DescribeAccountAttributes does not tell. Of the copies: per destination account and region, for Aurora's
# cluster snapshots (AUG-COPY).
CROSS_REGION_COPIES = "CrossRegionClusterSnapshotCopies"
SHARES_PER_SNAPSHOT = "SharesPerClusterSnapshot"
UNTOLD = {CROSS_REGION_COPIES: 5, SHARES_PER_SNAPSHOT: 20}

# What the caller needs on a customer key so that RDS can use it for a resource (AUG-KEYS) …
KEY_ACTIONS = ("kms:DescribeKey", "kms:CreateGrant")
# … and on another account's key, to read what it protects (aws-facts 2.4, after AUG-SHARE).
FOREIGN_KEY_ACTIONS = (*KEY_ACTIONS, "kms:Decrypt", "kms:ReEncryptFrom", "kms:GenerateDataKeyWithoutPlaintext")

Phase = tuple[str, float]


@dataclass
class Injections:
    """What tests make happen, by identifier or ARN of the resource."""

    failures: dict[str, tuple[str, str]] = field(default_factory=dict)
    holds: dict[str, str] = field(default_factory=dict)
    failed_upgrades: dict[str, str] = field(default_factory=dict)
    # IAM roles, by ARN, that cannot be associated, with the event's text.
    failed_roles: dict[str, str] = field(default_factory=dict)
    # New resources answer "not found" to so many reads by name.
    hidden_reads: int = 0

    @staticmethod
    def take(table: dict[str, T], resource: Resource) -> T | None:
        """Take out what is planned for a resource, if anything is."""
        return table.pop(resource.arn, None) or table.pop(resource.identifier, None)


@dataclass(kw_only=True)
class Kit:
    """See the module's description. Everything here expects ``lock`` to be held, except where it says otherwise."""

    clock: VirtualClock
    timings: Timings
    keys: Keys
    secrets: Secrets
    network: Network
    authorize: Authorize
    data_plane: DataPlane | None = None
    catalogue: Catalogue = field(default_factory=Catalogue)
    store: Store = field(default_factory=Store)
    injections: Injections = field(default_factory=Injections)
    quotas: dict[str, int] = field(default_factory=lambda: QUOTAS | UNTOLD)
    # What a test lowers in one account and region only: (account, region, name).
    local_quotas: dict[tuple[str, str, str], int] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)
    # Accounts that have AWSServiceRoleForRDS.
    service_linked_accounts: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.events = EventLog(self.clock)
        self.jobs = Jobs(self.clock)

    def region(self, call: Call) -> Region:
        """Return the state that the call is about."""
        return self.store.region(call.account, call.region)

    def quota(self, place: Place, name: str) -> int:
        """Return how many of something there may be in an account and region."""
        return self.local_quotas.get((place.account, place.region, name), self.quotas[name])

    # ---- statuses over time

    def walk(
        self,
        resource: Resource,
        phases: Iterable[Phase],
        done: Callable[[], None],
        *,
        work: Future[None] | None = None,
        final: str | None = AVAILABLE,
        broken: Callable[[], str | None] | None = None,
        ended: Callable[[], None] | None = None,
    ) -> None:
        """Lead a resource through ``phases`` to its ``final`` status, then call ``done``; not before ``work`` is over.

        A newer walk of the same resource ends this one. ``final=None`` means that the resource ends with the walk.
        ``broken`` is asked before each phase and at the end: when it gives a reason, the resource ends in ``failed``.
        ``ended`` is called once, whichever way the walk ends.
        """
        self._end(resource)
        resource.ended = ended
        resource.epoch += 1
        epoch, remaining = resource.epoch, deque(phases)

        def fails() -> bool:
            reason = broken() if broken is not None else None
            if reason is not None:
                self.fail(resource, "failed", reason)
            return reason is not None

        def step() -> None:
            with self.lock:
                if resource.epoch != epoch or fails():
                    return
                if remaining:
                    resource.status, seconds = remaining.popleft()
                    self.clock.call_later(seconds, step)
                    return
            if work is None:
                arrive()
            else:
                work.add_done_callback(lambda _: arrive())

        def arrive() -> None:
            with self.lock:
                if resource.epoch != epoch or fails():
                    return
                error = work.exception() if work is not None else None
                if error is not None:
                    self.fail(resource, "failed", f"The sandbox's data plane failed: {error}")
                elif final is None:
                    done()
                else:
                    self._arrive(resource, final, done)

        step()

    def _arrive(self, resource: Resource, final: str, done: Callable[[], None]) -> None:
        if failure := self.injections.take(self.injections.failures, resource):
            self.fail(resource, *failure)
            return

        def finish() -> None:
            resource.status = final
            self._end(resource)
            done()

        if held := self.injections.take(self.injections.holds, resource):
            resource.status, resource.held = held, finish
            return
        finish()

    def fail(self, resource: Resource, status: str, message: str) -> None:
        """End in a status that AWS does not leave by itself, with the event that explains it."""
        resource.status = status
        self._end(resource)
        self.events.emit_text(resource, "", message, "failure")

    @staticmethod
    def _end(resource: Resource) -> None:
        ended, resource.ended = resource.ended, None
        if ended is not None:
            ended()

    def hide(self, resource: Resource) -> None:
        """Let the first reads of a new resource miss it, if a test asks for that."""
        resource.hidden_reads = self.injections.hidden_reads

    @staticmethod
    def seen(resource: R | None) -> R | None:
        """Return the resource as a read by name sees it: None while a new one is hidden."""
        if resource is not None and resource.hidden_reads > 0:
            resource.hidden_reads -= 1
            return None
        return resource

    # ---- data plane

    def run(self, work: Callable[[DataPlane], None], *volumes: str) -> Future[None] | None:
        """Start work on the real servers; None where there are none."""
        plane = self.data_plane
        if plane is None:
            return None
        return self.jobs.start(lambda: work(plane), *volumes)

    # ---- permissions of the caller; never under the lock, since the authorizer reads tags from here

    def as_caller(self, call: Call, action: str, resource: str, *, region: str = "", **context: str) -> None:
        """Ask for an action of another service in the caller's name (forward access session)."""
        full = {"aws:ViaAWSService": "true", **context}
        self.authorize(call.principal, action, resource, full, region or call.region)

    def service_linked_role(self, call: Call) -> None:
        """An account's first cluster makes AWSServiceRoleForRDS, which its creator must be allowed to.

        AUG: "Using service-linked roles for Amazon Aurora", with the statement that allows it and the message.
        """
        if call.account in self.service_linked_accounts:
            return
        service, partition = "rds.amazonaws.com", self.region(call).place.partition
        role = f"arn:{partition}:iam::{call.account}:role/aws-service-role/{service}/AWSServiceRoleForRDS"
        try:
            self.as_caller(call, "iam:CreateServiceLinkedRole", role, **{"iam:AWSServiceName": service})
        except AwsError as error:
            raise invalid_value(
                "Unable to create the resource. Verify that you have permission to create service linked role. "
                "Otherwise wait and try again later"
            ) from error
        self.service_linked_accounts.add(call.account)

    def usable_key(self, call: Call, key: str, *, region: str = "") -> KeyFacts:
        """Return the key if it is there, enabled, in the region and the caller may let RDS use it.

        ``region`` is where the key must be, by default the call's. For the key of a copy's source it may be another one
        than RDS is called in. Which of the two kms:ViaService then names is not documented, and aws-facts 2.4 says to
        allow both: so both must be allowed here, and a policy that passes does so on AWS, whichever it is.

        A key that AWS manages is open to RDS for everyone in its own account, and for nobody else.
        """
        region = region or call.region
        facts = self.keys.find(call.account, region, key)
        if facts is None or not facts.enabled or facts.arn.split(":")[3] != region:
            raise key_not_accessible(key)
        foreign = facts.arn.split(":")[4] != call.account
        if facts.aws_managed:
            if foreign:
                raise key_not_accessible(key)
            return facts
        for via in dict.fromkeys((region, call.region)):
            for action in FOREIGN_KEY_ACTIONS if foreign else KEY_ACTIONS:
                context = {"kms:ViaService": f"rds.{via}.amazonaws.com"}
                if action == "kms:CreateGrant":
                    context["kms:GrantIsForAWSResource"] = "true"
                try:
                    self.as_caller(call, action, facts.arn, region=region, **context)
                except AwsError as error:
                    _log.info("RDS may not use %s for %s: %s", facts.arn, call.principal.arn, error)
                    raise key_not_accessible(key) from error
        return facts

    def default_encryption(self, call: Call, *, asked: bool) -> Encryption:
        """Return how a volume is encrypted when no key is named: it depends on the day (AUG-ENC)."""
        if self.clock.now() >= ALWAYS_ENCRYPTED_SINCE:
            return Encryption("sse-rds")
        if asked:
            return Encryption("sse-kms", self.usable_key(call, "alias/aws/rds").arn)
        return Encryption("none")
