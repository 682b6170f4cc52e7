"""The front door: one WSGI application that answers every AWS request.

Identify the caller, parse the operation, authorize it, inject a fault if one is planned, dispatch it to a service of
the sandbox or to moto, and note what happened.
"""

from __future__ import annotations

import gzip
import io
import logging
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol

from sandbox.core import AwsError, Call, NotEmulated
from sandbox.protocol import Operation, Response, Scope, any_operation, read_operation, read_scope
from sandbox.recorder import Message
from sandbox.regions import require_region

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from contextlib import AbstractContextManager
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from sandbox.clock import VirtualClock
    from sandbox.core import Principal, Service
    from sandbox.faults import Faults
    from sandbox.moto_support import Moto
    from sandbox.principals import Registry
    from sandbox.recorder import Recorder

_log = logging.getLogger(__name__)

CONTROL_PREFIX = "/_sandbox/"

_ERROR_CODE = re.compile(rb'<Code>([^<]+)</Code>|"__type"\s*:\s*"(?:[^"#]*#)?([^"]+)"')


class Authorizer(Protocol):
    """Decides whether a principal may make a call."""

    def check(self, call: Call) -> None:
        """Raise the AwsError that AWS answers a denied call with."""


class Gateway:
    """See the module's description.

    ``services`` answer for everything under their name; ``operations`` for one operation of a service that is otherwise
    moto's; ``checks`` are asked before an operation is carried out, and refuse it by raising an AwsError; ``waiting``
    wraps whatever lets virtual time pass while a caller waits for its answer.
    """

    def __init__(
        self,
        *,
        clock: VirtualClock,
        registry: Registry,
        services: Mapping[str, Service],
        operations: Mapping[tuple[str, str], Service],
        checks: Mapping[tuple[str, str], Callable[[Call], None]],
        waiting: Callable[[Principal], AbstractContextManager[None]],
        moto: Moto,
        authorizer: Authorizer,
        faults: Faults,
        recorder: Recorder,
        control: WSGIApplication,
    ) -> None:
        self._clock = clock
        self._registry = registry
        self._services = services
        self._operations = operations
        self._checks = checks
        self._waiting = waiting
        self._moto = moto
        self._authorizer = authorizer
        self._faults = faults
        self._recorder = recorder
        self._control = control

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        if environ.get("PATH_INFO", "").startswith(CONTROL_PREFIX):
            return self._control(environ, start_response)
        with self._clock.busy():
            response = self._respond(environ)
        start_response(_status_line(response.status), response.headers)
        return [response.body]

    def _respond(self, environ: WSGIEnvironment) -> Response:
        _buffer_body(environ)
        scope = read_scope(environ)
        if scope is None:
            unsigned = AwsError("MissingAuthenticationToken", "The request is not signed.", 403)
            return any_operation("s3").serialize(unsigned)
        try:
            operation = read_operation(environ, scope.signing_name)
        except AwsError as error:
            _log.info("%s %s: %s", environ["REQUEST_METHOD"], environ.get("PATH_INFO"), error)
            return any_operation(scope.signing_name).serialize(error)
        try:
            principal = self._registry.lookup(scope.access_key, scope.token)
        except AwsError:
            return operation.serialize(_unknown_key(scope, operation))
        try:
            require_region(scope.region)
        except ValueError as error:
            wrong = f"Credential should be scoped to a valid region: {error}."
            return operation.serialize(AwsError("InvalidSignatureException", wrong, 403))
        return self._answer(_call(scope, operation, principal), operation, environ)

    def _answer(self, call: Call, operation: Operation, environ: WSGIEnvironment) -> Response:
        try:
            self._faults.admit(call, self._clock.now())
            self._authorizer.check(call)
            response = self._with_faults(call, operation, environ)
        except AwsError as error:
            self._recorder.record(call, error.code, error.message)
            return operation.serialize(error)
        except Exception:  # noqa: BLE001  the outermost boundary: the caller gets an answer, the log the reason
            _log.exception("%s:%s failed inside the sandbox", call.service, call.operation)
            failure = AwsError("InternalFailure", "The sandbox failed; its log says why.", 500)
            self._recorder.record(call, failure.code, failure.message)
            return operation.serialize(failure)
        self._note(call, response)
        return response

    def _with_faults(self, call: Call, operation: Operation, environ: WSGIEnvironment) -> Response:
        fault = self._faults.match(call)
        if fault is None:
            return self._dispatch(call, operation, environ)
        if fault.delay_seconds:
            with self._waiting(call.principal):
                self._clock.sleep(fault.delay_seconds)
        if fault.effect == "deny":
            raise AwsError(
                operation.access_denied_code,
                f"User: {call.principal.arn} is not authorized to perform: {call.service}:{call.operation} "
                "(a fault of the sandbox)",
                403,
            )
        if fault.error is None:
            return self._dispatch(call, operation, environ)
        if fault.done:
            self._note(call, self._dispatch(call, operation, environ))
        raise fault.as_error()

    def _dispatch(self, call: Call, operation: Operation, environ: WSGIEnvironment) -> Response:
        check = self._checks.get((call.service, call.operation))
        if check is not None:
            check(call)
        service = self._operations.get((call.service, call.operation), self._services.get(call.service))
        if service is not None:
            return operation.serialize(service.handle(call))
        if call.service in self._moto.services:
            return self._moto.dispatch(call, environ)
        raise NotEmulated(f"the service {call.service!r} (asked for {call.operation})")

    def _note(self, call: Call, response: Response) -> None:
        if response.status < HTTPStatus.BAD_REQUEST:
            self._recorder.record(call)
            if (call.service, call.operation) == ("sns", "Publish") and "TopicArn" in call.params:
                self._recorder.add_message(
                    Message(
                        time=self._clock.now(),
                        account=call.account,
                        region=call.region,
                        topic_arn=call.params["TopicArn"],
                        subject=call.params.get("Subject"),
                        message=call.params["Message"],
                        attributes=call.params.get("MessageAttributes", {}),
                    )
                )
        else:
            match = _ERROR_CODE.search(response.body)
            code = next((group.decode() for group in match.groups() if group), "") if match else ""
            self._recorder.record(call, code or str(response.status))


def _call(scope: Scope, operation: Operation, principal: Principal) -> Call:
    return Call(
        service=scope.service,
        operation=operation.name,
        region=scope.region,
        account=principal.account,
        principal=principal,
        params=operation.params,
    )


def _unknown_key(scope: Scope, operation: Operation) -> AwsError:
    hint = "The sandbox knows AKIASANDBOX<12-digit account id> and the sessions that its own STS issued."
    if scope.service == "s3":
        return AwsError("InvalidAccessKeyId", f"The AWS Access Key Id you provided does not exist. {hint}", 403)
    code = "UnrecognizedClientException" if operation.is_json else "InvalidClientTokenId"
    return AwsError(code, f"The security token included in the request is invalid. {hint}", 403)


def _buffer_body(environ: WSGIEnvironment) -> None:
    """Read the body once, so that it can be read twice: by the parser here and by moto."""
    stream = environ["wsgi.input"]
    if environ.get("wsgi.input_terminated"):
        body = stream.read()
    else:
        body = stream.read(int(environ.get("CONTENT_LENGTH") or 0))
    if environ.get("HTTP_CONTENT_ENCODING") == "gzip":  # SDKs compress PutMetricData
        body = gzip.decompress(body)
        del environ["HTTP_CONTENT_ENCODING"]
    environ.pop("HTTP_TRANSFER_ENCODING", None)
    environ["CONTENT_LENGTH"] = str(len(body))
    environ["wsgi.input"] = io.BytesIO(body)
    environ["wsgi.input_terminated"] = True


def _status_line(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"{status} Unknown"
