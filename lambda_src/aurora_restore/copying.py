"""Copies and shares of an operation: how they are come by, and how they are taken away again.

Both may be needed by several operations at once, so each has an item that knows its owners (`shared_items`): whoever
needs it joins first and leaves when it is done, and the last one to leave removes it. A copy's own share has no item:
it goes with the copy. What a person has shared, or a snapshot without this deployment's tag, is never touched.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from aurora_restore import names
from aurora_restore.engine.snapshots import Snapshots
from aurora_restore.errors import AssumeRoleFailed, translate
from aurora_restore.model import PlannedCopy, Record, Resource, ResourceState, SourceRole, iso, parse_time
from aurora_restore.readiness import SNAPSHOT_GOING, Described, copy_failed, in_flight, normal_status
from aurora_restore.runtime import StepContext, logger
from aurora_restore.shared_items import Lanes, Left, SharedItems, Turn, copy_key, share_key

if TYPE_CHECKING:
    from types_boto3_rds import RDSClient

COPY: Final = "db-cluster-snapshot"
SHARE: Final = "snapshot-share"

ARRIVES_WITHIN: Final = timedelta(seconds=120)
"""How long a new share may not be seen yet by the account that it is for."""

_EVENTS: Final[Mapping[tuple[str, ResourceState], str]] = {
    (COPY, ResourceState.DELETING): "copy_deleting",
    (COPY, ResourceState.DELETED): "copy_deleted",
    (COPY, ResourceState.RELEASED): "copy_released",
    (COPY, ResourceState.KEPT): "copy_kept",
    (COPY, ResourceState.FOREIGN): "copy_foreign",
    (SHARE, ResourceState.DELETED): "share_withdrawn",
    (SHARE, ResourceState.RELEASED): "share_released",
}


@dataclass(frozen=True)
class Removal:
    """What has become of a copy or a share that was to be taken away."""

    state: ResourceState
    pending: str | None = None
    """Why it has to be looked at again."""


def _identifier(snapshot_arn: str) -> str:
    return snapshot_arn.split(":", 6)[6]  # an automated snapshot's has a colon of its own


def just_shared(record: Record, snapshot_arn: str, now: datetime) -> bool:
    """The snapshot was shared by this operation a moment ago: that it is not found may pass."""
    share = record.resource(SHARE, snapshot_arn)
    finished = (
        record.timings[copy.phase].ready_at
        for copy in record.planned.copies
        if copy.share and copy.arn == snapshot_arn and copy.phase in record.timings
    )
    moments = [share.created_at if share else None, *finished]
    return any(moment and now - parse_time(moment) < ARRIVES_WITHIN for moment in moments)


class Copying:
    """See the module's description."""

    def __init__(self, ctx: StepContext) -> None:
        self._ctx = ctx
        self.items = SharedItems(ctx.aws.dynamodb, ctx.settings.state_table)

    def snapshots(self, account: str, region: str) -> Snapshots:
        """The snapshots of an account and region."""
        return Snapshots(self.rds(account, region))

    def rds(self, account: str, region: str) -> RDSClient:
        """RDS of an account and region, as the role that the deployment has there."""
        return self._ctx.clients(self._role(account)).rds_in(region)

    def _role(self, account: str) -> SourceRole | None:
        if account == self._ctx.settings.account:
            return None
        role = self._ctx.record.planned.source_role
        if role is None or role.account != account:
            raise AssumeRoleFailed(f"The deployment has no role in account {account}", field="source_account_id")
        return role

    # copies

    def intend(self, copy: PlannedCopy) -> Resource:
        """The copy's entry in the record, made before anything else is done about it."""
        known = self._ctx.record.resource(COPY, copy.identifier)
        if known is not None:
            return known
        intent = replace(
            self._ctx.intent(COPY, copy.identifier, copy.phase),
            region=copy.region,
            account=copy.account,
            arn=copy.arn,
        )
        self.save("copy_intended", intent, source=copy.source_arn)
        return intent

    def turn(self, copy: PlannedCopy) -> Turn:
        """The operation's wish to make the copy."""
        return Turn(self._ctx.operation_id, copy.account, copy.region, copy.arn)

    # lanes

    @property
    def limit(self) -> int:
        """How many lanes there are."""
        return self._ctx.settings.copy_lanes

    def leave_lane(self, turn: Turn) -> None:
        """The copy is not in flight any more: its lane is free, and its waiter need not wait."""
        lanes = self.items.change_lanes(turn, lambda lanes: lanes.without(turn.copy).forget(turn))
        self.wake(turn, lanes)

    def leave_queue(self, turn: Turn) -> None:
        """The operation needs no lane any more; another one may have the copy in flight still."""
        lanes = self.items.change_lanes(turn, lambda lanes: lanes.forget(turn))
        self.wake(turn, lanes)

    def leave_lane_of(self, turn: Turn, found: Described) -> None:
        """Leave the lane of what is there; what is in flight needs it, until who finds all of them taken looks."""
        (self.leave_queue if in_flight(found) else self.leave_lane)(turn)

    def wake(self, turn: Turn, lanes: Lanes) -> None:
        """Wake those whose turn it is now. A wake-up that is lost costs time only: they ask again by themselves."""
        for waiter in lanes.next(limit=self.limit, now=self._ctx.now):
            token = self.items.take_token(turn.wait_key_of(waiter))
            if token is not None:
                self.send(token)

    def send(self, token: str) -> None:
        """Let a WaitForLane end."""
        try:
            self._ctx.aws.stepfunctions.send_task_success(taskToken=token, output="{}")
        except (ClientError, BotoCoreError) as error:
            logger.info("waiter_not_woken", extra={"reason": translate(error, "states").cause})

    # shares

    def share(self, snapshot_arn: str) -> bool:
        """Share a snapshot of the source account with the deployment's; a person's own share of it stays as it is.

        False while another operation withdraws its share of it, or may still do so.
        """
        ctx = self._ctx
        _, _, _, region, account, _, _ = snapshot_arn.split(":", 6)
        identifier = _identifier(snapshot_arn)
        known = ctx.record.resource(SHARE, snapshot_arn)
        if known is None:
            known = replace(ctx.intent(SHARE, snapshot_arn), region=region, account=account, arn=snapshot_arn)
            self.save("share_intended", known)
        snapshots = self.snapshots(account, region)
        key = share_key(snapshot_arn, ctx.settings.account)
        # The look comes before the item: what the pipeline shares has its item before it is shared.
        if snapshots.shared_with(identifier).isdisjoint({ctx.settings.account, "all"}):
            if not self.items.join(key, ctx.operation_id, ctx.now, gone=True):
                return False
            snapshots.share(identifier, ctx.settings.account)
            event = "share_added"
        elif self.items.join_existing(key, ctx.operation_id, ctx.now):
            event = "share_joined"
        elif self.items.settled(key, ctx.now):
            self.save("share_found", replace(known, state=ResourceState.FOREIGN))
            return True
        else:
            return False
        if known.state is not ResourceState.CREATED:
            self.save(event, replace(known, state=ResourceState.CREATED, created_at=iso(ctx.now)))
        return True

    # taking away

    def take_away(self, resource: Resource, *, keep: bool, early: bool = False, wait: bool = True) -> Removal:
        """Leave a copy or a share, and remove it if nobody else needs it and ``keep`` does not say otherwise.

        ``early``: what RDS does not show may still come to appear. ``wait``: come again until RDS has deleted it;
        without it, a deletion that RDS has accepted is enough.
        """
        if resource.kind == SHARE:
            removal = self._withdraw(resource)
        else:
            removal = self._remove(resource, keep=keep, early=early)
            if removal.state is ResourceState.DELETING and not wait:
                removal = Removal(ResourceState.DELETED)
        if removal.state is not resource.state and resource.state is not ResourceState.DELETING:
            event = _EVENTS[resource.kind, removal.state]
            self.save(event, replace(resource, state=removal.state), before=resource.state.value)
        return removal

    def _remove(self, resource: Resource, *, keep: bool, early: bool) -> Removal:
        ctx, key = self._ctx, copy_key(str(resource.arn))
        turn = Turn(ctx.operation_id, resource.account, resource.region, str(resource.arn))
        snapshots = self.snapshots(resource.account, resource.region)
        found = snapshots.find(resource.identifier)
        if found is None and early and resource.state is not ResourceState.DELETING:
            self.leave_queue(turn)
            return Removal(resource.state, "may still appear")
        keep = keep and found is not None and not copy_failed(found)
        left = self._leave(key, keep=keep)
        if found is None:
            used = left is Left.OTHERS
            (self.leave_queue if used else self.leave_lane)(turn)
            return Removal(ResourceState.RELEASED if used else ResourceState.DELETED)
        if not names.bears_tags(found.get("TagList"), deployment=ctx.settings.deployment):
            self.leave_lane_of(turn, found)
            return Removal(ResourceState.FOREIGN)
        if left is not Left.REMOVE:
            self.leave_lane_of(turn, found)
            return Removal(ResourceState.KEPT if keep and left is Left.KEPT else ResourceState.RELEASED)
        there = normal_status(found.get("Status")) in SNAPSHOT_GOING or snapshots.delete(resource.identifier)
        self.leave_lane(turn)
        return Removal(ResourceState.DELETING, "is being deleted") if there else Removal(ResourceState.DELETED)

    def _withdraw(self, resource: Resource) -> Removal:
        ctx, arn = self._ctx, str(resource.arn)
        snapshots = self.snapshots(resource.account, resource.region)
        key = share_key(arn, ctx.settings.account)
        left = self._leave(key)
        if left is not Left.REMOVE:
            return Removal(ResourceState.RELEASED)
        snapshots.withdraw(_identifier(arn), ctx.settings.account)
        self.items.withdrawn(key)
        return Removal(ResourceState.DELETED)

    def _leave(self, key: str, *, keep: bool = False) -> Left:
        """Leave, and have leave who is an owner still though its operation is over: it could not, and will not."""
        ctx = self._ctx
        left = self.items.leave(key, ctx.operation_id, ctx.now, keep=keep)
        if left is Left.OTHERS:
            for owner in sorted(self.items.owners(key)):
                if self._over(owner):
                    left = self.items.leave(key, owner, ctx.now)
        return left

    def _over(self, operation_id: str) -> bool:
        standing = self._ctx.store.standing(operation_id)
        return standing is None or standing.over

    def save(self, event: str, resource: Resource, **details: Any) -> None:
        """Record what has become of a copy or a share."""
        told = {"account": resource.account, "region": resource.region, "state": resource.state.value, **details}
        self._ctx.update(
            event, lambda record: record.with_resource(resource), {"identifier": resource.identifier, **told}
        )
