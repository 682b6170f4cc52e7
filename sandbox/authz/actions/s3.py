"""Amazon S3: "Actions, resources, and condition keys for Amazon S3", "Required permissions for S3 API operations"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.authz.needs import Need, anywhere, key_use, text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.authz.needs import Mapper
    from sandbox.authz.sources import Sources
    from sandbox.core import Call

_KEYS = "S3 user guide: using server-side encryption with AWS KMS keys, permissions"


def _bucket_arn(call: Call) -> str:
    return f"arn:{call.principal.partition}:s3:::{call.params['Bucket']}"


def _object_arn(call: Call) -> str:
    return f"{_bucket_arn(call)}/{call.params['Key']}"


def _get(call: Call, sources: Sources) -> list[Need]:
    resource, version = _object_arn(call), call.params.get("VersionId")
    context = {"s3:versionid": version} if version else {}
    return [
        Need("s3:GetObjectVersion" if version else "s3:GetObject", (resource,), context),
        *key_use(call, sources, sources.object_key(resource), ["kms:Decrypt"], {"aws:s3:arn": resource}, _KEYS),
    ]


def _put(call: Call, sources: Sources) -> list[Need]:
    params, resource = call.params, _object_arn(call)
    encryption, key_id = params.get("ServerSideEncryption"), params.get("SSEKMSKeyId")
    context = {
        "s3:x-amz-server-side-encryption": text(encryption),
        "s3:x-amz-server-side-encryption-aws-kms-key-id": text(key_id),
        "s3:x-amz-acl": text(params.get("ACL")),
        "s3:x-amz-storage-class": text(params.get("StorageClass")),
    }
    needs = [Need("s3:PutObject", (resource,), context)]
    if params.get("Tagging"):
        needs.append(Need("s3:PutObjectTagging", (resource,)))
    if params.get("ACL"):
        needs.append(Need("s3:PutObjectAcl", (resource,), {"s3:x-amz-acl": params["ACL"]}))
    if encryption is None:
        key_id = sources.bucket_key(resource)
    return needs + key_use(call, sources, key_id, ["kms:GenerateDataKey"], {"aws:s3:arn": resource}, _KEYS)


def _list(call: Call, _sources: Sources) -> list[Need]:
    context = {
        "s3:prefix": text(call.params.get("Prefix")),
        "s3:delimiter": text(call.params.get("Delimiter")),
        "s3:max-keys": text(call.params.get("MaxKeys")),
    }
    return [Need("s3:ListBucket", (_bucket_arn(call),), context)]


OPERATIONS: Mapping[str, Mapper] = {
    "DeleteObject": lambda call, _sources: [
        Need("s3:DeleteObjectVersion" if call.params.get("VersionId") else "s3:DeleteObject", (_object_arn(call),))
    ],
    "GetObject": _get,
    "HeadBucket": _list,
    "HeadObject": _get,
    "ListBuckets": anywhere("s3:ListAllMyBuckets"),
    "ListObjects": _list,
    "ListObjectsV2": _list,
    "PutObject": _put,
}
