"""Amazon SNS, Amazon SQS and Amazon EventBridge, with the keys that SNS and SQS use in the sender's name.

"Actions, resources, and condition keys for Amazon SNS / SQS / EventBridge"; "Managing Amazon SNS encryption keys and
costs"; "Amazon SQS key management".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.authz.needs import Need, anywhere, arn, key_use

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.authz.needs import Mapper
    from sandbox.authz.sources import Sources
    from sandbox.core import Call

_SNS_KEYS = "SNS developer guide: a publisher to an encrypted topic needs kms:GenerateDataKey and kms:Decrypt"
_SQS_KEYS = "SQS developer guide: key management, permissions of producers and consumers"


def _publish(call: Call, sources: Sources) -> list[Need]:
    params = call.params
    topic = params.get("TopicArn") or params.get("TargetArn") or "*"  # a phone number has no ARN
    needs = [Need("sns:Publish", (topic,))]
    if topic != "*":
        actions = ("kms:GenerateDataKey", "kms:Decrypt")
        needs += key_use(call, sources, sources.topic_key(topic), actions, {"aws:sns:topicArn": topic}, _SNS_KEYS)
    return needs


def _topic(action: str, parameter: str = "TopicArn") -> Mapper:
    return lambda call, _sources: [Need(f"sns:{action}", (call.params[parameter],))]


def _queue(action: str, *key_actions: str) -> Mapper:
    def mapper(call: Call, sources: Sources) -> list[Need]:
        account, name = call.params["QueueUrl"].rstrip("/").rsplit("/", 2)[-2:]
        queue = f"arn:{call.principal.partition}:sqs:{call.region}:{account}:{name}"
        return [
            Need(f"sqs:{action}", (queue,)),
            *key_use(call, sources, sources.queue_key(queue), key_actions, {"aws:sqs:arn": queue}, _SQS_KEYS),
        ]

    return mapper


def _get_queue_url(call: Call, _sources: Sources) -> list[Need]:
    account, name = call.params.get("QueueOwnerAWSAccountId") or call.account, call.params["QueueName"]
    return [Need("sqs:GetQueueUrl", (f"arn:{call.principal.partition}:sqs:{call.region}:{account}:{name}",))]


def _put_events(call: Call, _sources: Sources) -> list[Need]:
    needs = []
    for entry in call.params["Entries"]:
        bus = entry.get("EventBusName") or "default"
        resource = bus if bus.startswith("arn:") else arn(call, "events", f"event-bus/{bus}")
        context = {
            "events:source": entry.get("Source"),
            "events:detail-type": entry.get("DetailType"),
            "events:eventBusInvocation": "false",
        }
        needs.append(Need("events:PutEvents", (resource,), context))
    return needs


_SENDING = ("kms:GenerateDataKey", "kms:Decrypt")

SERVICES: Mapping[str, Mapping[str, Mapper]] = {
    "sns": {
        "GetTopicAttributes": _topic("GetTopicAttributes"),
        "ListSubscriptionsByTopic": _topic("ListSubscriptionsByTopic"),
        "ListTagsForResource": _topic("ListTagsForResource", "ResourceArn"),
        "ListTopics": anywhere("sns:ListTopics"),
        "Publish": _publish,
    },
    "sqs": {
        "ChangeMessageVisibility": _queue("ChangeMessageVisibility"),
        "ChangeMessageVisibilityBatch": _queue("ChangeMessageVisibility"),
        "DeleteMessage": _queue("DeleteMessage"),
        "DeleteMessageBatch": _queue("DeleteMessage"),
        "GetQueueAttributes": _queue("GetQueueAttributes"),
        "GetQueueUrl": _get_queue_url,
        "ReceiveMessage": _queue("ReceiveMessage", "kms:Decrypt"),
        "SendMessage": _queue("SendMessage", *_SENDING),
        "SendMessageBatch": _queue("SendMessage", *_SENDING),
    },
    "events": {"PutEvents": _put_events},
}
