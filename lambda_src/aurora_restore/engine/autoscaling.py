"""The number of an Aurora cluster's readers, by Application Auto Scaling: what is registered, and its one policy.

Source: Aurora User Guide, "Amazon Aurora Auto Scaling with Aurora Replicas". A scalable target does not go with its
cluster: who deletes the cluster has to deregister it, or it acts on the next cluster of the name.
"""

# ruff: noqa: D102 - the protocol's methods are the API's operations

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol

from botocore.exceptions import ClientError

from aurora_restore.errors import wire_code
from aurora_restore.model import ReaderAutoscaling

NAMESPACE: Final = "rds"
DIMENSION: Final = "rds:cluster:ReadReplicaCount"
AUTOSCALED: Final = "application-autoscaling-"
"""How the identifiers of instances begin that Application Auto Scaling has made."""


class ScalingClient(Protocol):
    """What is used of boto3's client of Application Auto Scaling."""

    def describe_scalable_targets(self, **parameters: Any) -> Mapping[str, Any]: ...
    def describe_scaling_policies(self, **parameters: Any) -> Mapping[str, Any]: ...
    def register_scalable_target(self, **parameters: Any) -> Mapping[str, Any]: ...
    def put_scaling_policy(self, **parameters: Any) -> Mapping[str, Any]: ...
    def deregister_scalable_target(self, **parameters: Any) -> Mapping[str, Any]: ...


def resource_id(cluster: str) -> str:
    """The cluster as Application Auto Scaling names it."""
    return f"cluster:{cluster}"


class Autoscaling:
    """Readers through one client of Application Auto Scaling."""

    def __init__(self, client: ScalingClient) -> None:
        self._client = client

    def target(self, cluster: str) -> Mapping[str, Any] | None:
        """The registered target, or None."""
        found = self._client.describe_scalable_targets(ServiceNamespace=NAMESPACE, ResourceIds=[resource_id(cluster)])
        targets = [one for one in found["ScalableTargets"] if one.get("ScalableDimension", DIMENSION) == DIMENSION]
        return targets[0] if targets else None

    def described(self, cluster: str) -> dict[str, Any] | None:
        """Target and policy in the request's terms; without its metric where the policy has one of its own kind."""
        target = self.target(cluster)
        if target is None:
            return None
        found = {"min_capacity": target["MinCapacity"], "max_capacity": target["MaxCapacity"]}
        policies = self._client.describe_scaling_policies(ServiceNamespace=NAMESPACE, ResourceId=resource_id(cluster))
        for policy in policies["ScalingPolicies"]:
            tracking = policy.get("TargetTrackingScalingPolicyConfiguration") or {}
            if metric := (tracking.get("PredefinedMetricSpecification") or {}).get("PredefinedMetricType"):
                found |= {"predefined_metric_type": metric, "target_value": tracking["TargetValue"]}
                for name, member in _COOLDOWNS.items():
                    if tracking.get(member) is not None:
                        found[name] = tracking[member]
                break
        return found

    def ensure(self, cluster: str, wanted: ReaderAutoscaling, tags: Mapping[str, str]) -> None:
        """Register the cluster's readers and put the policy; both calls overwrite what is there."""
        target = {
            "ServiceNamespace": NAMESPACE,
            "ResourceId": resource_id(cluster),
            "ScalableDimension": DIMENSION,
        }
        limits = {"MinCapacity": wanted.min_capacity, "MaxCapacity": wanted.max_capacity}
        # Tags are taken at the first registration only (Application Auto Scaling API: RegisterScalableTarget).
        self._client.register_scalable_target(
            **target, **limits, **({} if self.target(cluster) else {"Tags": dict(tags)})
        )
        tracking: dict[str, Any] = {
            "TargetValue": float(wanted.target_value),
            "PredefinedMetricSpecification": {"PredefinedMetricType": wanted.predefined_metric_type},
        }
        for name, member in _COOLDOWNS.items():
            if (seconds := getattr(wanted, name)) is not None:
                tracking[member] = seconds
        self._client.put_scaling_policy(
            **target,
            PolicyName=f"{cluster}-readers",
            PolicyType="TargetTrackingScaling",
            TargetTrackingScalingPolicyConfiguration=tracking,
        )

    def remove(self, cluster: str) -> None:
        """Deregister the cluster's readers, which takes the policies along; what is not there is fine."""
        try:
            self._client.deregister_scalable_target(
                ServiceNamespace=NAMESPACE, ResourceId=resource_id(cluster), ScalableDimension=DIMENSION
            )
        except ClientError as error:
            if wire_code(error) != "ObjectNotFoundException":
                raise


_COOLDOWNS: Final = {"scale_in_cooldown": "ScaleInCooldown", "scale_out_cooldown": "ScaleOutCooldown"}
