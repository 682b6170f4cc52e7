"""The AWS wire protocols: from an HTTP request to an operation and its parameters, from a result to a response.

The service models are botocore's; moto's router, parsers and serializers read them.
"""

from __future__ import annotations

import functools
import re
import uuid
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import UnknownServiceError
from botocore.utils import parse_timestamp
from moto.core.parse import PROTOCOL_PARSERS, RequestParserError
from moto.core.request import Request, determine_request_protocol
from moto.core.routing import get_service_router
from moto.core.serialize import SerializationContext, get_serializer_class
from moto.core.utils import get_service_model
from werkzeug.exceptions import NotFound

from sandbox.core import AwsError, NotEmulated

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from wsgiref.types import WSGIEnvironment

# Where the name in the credential scope is not the model's name in botocore, or not the prefix of the IAM actions.
_MODEL_NAMES = {"monitoring": "cloudwatch", "states": "stepfunctions", "tagging": "resourcegroupstaggingapi"}
_SERVICE_NAMES = {"monitoring": "cloudwatch", "tagging": "tag"}

_CREDENTIAL = re.compile(r"Credential=([^/,\s]+)/\d{8}/([^/]+)/([^/]+)/aws4_request")


@dataclass(frozen=True)
class Scope:
    """What a request says of itself by its SigV4 credential scope."""

    access_key: str
    region: str
    signing_name: str
    token: str | None

    @property
    def service(self) -> str:
        """The service as IAM actions name it: ``rds``, ``states``, ``cloudwatch``, …"""
        return _SERVICE_NAMES.get(self.signing_name, self.signing_name)


@dataclass(frozen=True)
class Response:
    """An HTTP response, ready to be sent."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


class Operation:
    """One operation of a request, as its service's model describes it."""

    def __init__(self, request: Request, model: Any, params: Mapping[str, Any], protocol: str) -> None:
        self.name: str = model.name
        self.params = params
        self._model = model
        service = model.service_model
        if protocol == "query" and "JSON" in request.values.get("ContentType", ""):
            protocol = "query-json"
        self.is_json = "json" in protocol
        self._serializer = get_serializer_class(service.service_name, protocol)

    @property
    def access_denied_code(self) -> str:
        """The code of a refusal: JSON protocols say it longer than XML ones."""
        return "AccessDeniedException" if self.is_json else "AccessDenied"

    def serialize(self, result: Mapping[str, Any] | AwsError) -> Response:
        """Write a result (botocore output shape) or an error as the service would."""
        request_id = str(uuid.uuid4())
        serializer = self._serializer(operation_model=self._model, context=SerializationContext(request_id))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns of codes that no model lists, such as AccessDenied
            written = serializer.serialize(result)
        status = written["status_code"]
        if isinstance(result, AwsError) and not self._models_error(result.code):
            status = result.status
        body = written["body"]
        headers = {**written["headers"], "x-amzn-RequestId": request_id, "x-amz-request-id": request_id}
        return Response(
            int(status),
            [(name, str(value)) for name, value in headers.items()],
            body.encode() if isinstance(body, str) else body,
        )

    def _models_error(self, code: str) -> bool:
        return any(
            code in (shape.name, shape.error_code) and "httpStatusCode" in shape.metadata.get("error", {})
            for shape in self._model.service_model.error_shapes
        )


def read_scope(environ: WSGIEnvironment) -> Scope | None:
    """Read the credential scope from the Authorization header or from a presigned URL; None for an unsigned request."""
    header = environ.get("HTTP_AUTHORIZATION", "")
    match = _CREDENTIAL.search(header)
    token = environ.get("HTTP_X_AMZ_SECURITY_TOKEN")
    if match is None:
        args = Request(environ).args
        if "AWSAccessKeyId" in args:  # a URL of S3's that was presigned the old way, which names no region
            return Scope(args["AWSAccessKeyId"], "us-east-1", "s3", args.get("x-amz-security-token"))
        match = _CREDENTIAL.search(f"Credential={args.get('X-Amz-Credential', '')}")
        token = args.get("X-Amz-Security-Token", token)
    if match is None:
        return None
    access_key, region, signing_name = match.groups()
    return Scope(access_key, region, signing_name, token)


def read_operation(environ: WSGIEnvironment, signing_name: str) -> Operation:
    """Find the operation that a request means, and parse its parameters by the service's model."""
    model_name = _MODEL_NAMES.get(signing_name, signing_name)
    environ["wsgi.input"].seek(0)
    request = Request(environ)
    request.get_data(parse_form_data=True)
    try:
        service = get_service_model(model_name)
        protocol = determine_request_protocol(service, request.content_type)
        model, uri_params = get_service_router(model_name).match(request)
    except UnknownServiceError:
        raise NotEmulated(f"the service {signing_name!r}") from None
    except (NotFound, NotImplementedError):
        what = f"{request.method} {request.path} of the service {signing_name!r}"
        raise NotEmulated(what, "No operation of its service model looks like this.") from None
    parser = PROTOCOL_PARSERS[protocol](model, timestamp_parser=_aware)
    try:
        params = parser.parse(
            {
                "method": request.method,
                "values": request.values,
                "headers": request.headers,
                "body": request.get_data(),
                "url_params": uri_params,
                "url_path": request.path,
            }
        )
    except (RequestParserError, ValueError, TypeError, AttributeError) as error:
        raise AwsError("SerializationException", f"{model.name}: the request cannot be parsed: {error}") from error
    return Operation(request, model, params, protocol)


def any_operation(signing_name: str) -> Operation:
    """Return any operation of a service, to write an error with before the real one is known; JSON if it is unknown."""
    return _error_operation(_MODEL_NAMES.get(signing_name, signing_name))


@functools.cache
def _error_operation(model_name: str) -> Operation:
    try:
        service = get_service_model(model_name)
    except UnknownServiceError:
        service = get_service_model("sts")
    model = service.operation_model(service.operation_names[0])
    return Operation(Request({"REQUEST_METHOD": "GET"}), model, {}, str(service.protocol))


def _aware(value: str) -> datetime:
    return parse_timestamp(value)
