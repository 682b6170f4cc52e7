"""The sandbox's own API under ``/_sandbox/``: what AWS has no call for. ``python -m sandbox ctl`` speaks it.

Every answer is JSON: ``{"result": …}``, or ``{"error": "…"}`` with a status of 4xx.
"""

from __future__ import annotations

import difflib
import json
from dataclasses import fields
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import botocore.session
from botocore.exceptions import BotoCoreError, ClientError
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response

from sandbox.core import AwsError
from sandbox.faults import Fault
from sandbox.gateway import CONTROL_PREFIX
from sandbox.moto_support import Moto
from sandbox.recorder import as_dict
from sandbox.regions import require_region

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from wsgiref.types import StartResponse, WSGIEnvironment

    from sandbox.server import Sandbox


_EMULATED = {"rds", "states", "sts"} | Moto.services
_MODEL_NAMES = {"states": "stepfunctions", "tag": "resourcegroupstaggingapi"}


class Control:
    """A small WSGI application over one sandbox."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        routes: Mapping[tuple[str, str], Callable[[Mapping[str, Any]], Any]] = {
            ("GET", "clock"): self._clock,
            ("POST", "clock/advance"): self._advance,
            ("POST", "snapshot"): self._snapshot,
            ("GET", "faults"): lambda _: sandbox.faults.rules(),
            ("POST", "faults"): self._add_fault,
            ("DELETE", "faults"): self._remove_faults,
            ("GET", "ca"): lambda _: sandbox.ca_pem,
            ("GET", "list"): self._list,
            ("GET", "calls"): self._calls,
            ("GET", "messages"): lambda parameters: _of_scope(sandbox.messages(), parameters),
            ("GET", "metrics"): lambda parameters: _of_scope(sandbox.metrics(), parameters),
            ("GET", "logs"): self._logs,
        }
        self._actions = {f"{method} {path}": action for (method, path), action in routes.items()}
        self._routes = Map(
            [Rule(CONTROL_PREFIX + path, endpoint=f"{method} {path}", methods=[method]) for method, path in routes]
        )

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request. Unlike an AWS call it does not hold the clock: advancing it would wait for itself."""
        try:
            status, answer = 200, {"result": self._answer(environ)}
        except HTTPException as error:
            status, answer = error.code or 500, {"error": error.description}
        except (AwsError, BotoCoreError, ClientError, KeyError, TypeError, ValueError) as error:
            missing = f"the parameter {error} is missing" if isinstance(error, KeyError) else str(error)
            status, answer = 400, {"error": missing}
        body = json.dumps(answer, default=str)
        return Response(body, status, mimetype="application/json")(environ, start_response)

    def _answer(self, environ: WSGIEnvironment) -> Any:
        request = Request(environ)
        action, _ = self._routes.bind_to_environ(environ).match()
        parameters = request.get_json() if request.mimetype == "application/json" else request.args.to_dict()
        return self._actions[action](parameters)

    def _clock(self, _: Mapping[str, Any]) -> Any:
        clock = self._sandbox.clock
        return {
            "now": clock.now().isoformat(),
            "mode": "jump" if clock.scale is None else f"{clock.scale:g} x real time",
        }

    def _advance(self, parameters: Mapping[str, Any]) -> Any:
        self._sandbox.clock.advance(timedelta(seconds=float(parameters["seconds"])).total_seconds())
        return self._clock({})

    def _snapshot(self, parameters: Mapping[str, Any]) -> Any:
        takers = {"automated": self._sandbox.take_automated_snapshot, "backup": self._sandbox.take_backup_snapshot}
        kind = parameters.get("kind", "automated")
        if kind not in takers:
            raise ValueError(f"a snapshot is of the kind {' or '.join(takers)}, not {kind!r}")
        return takers[kind](parameters["cluster"], *_scope(parameters))

    def _add_fault(self, parameters: Mapping[str, Any]) -> Any:
        known = {field.name for field in fields(Fault)}
        unknown = sorted(set(parameters) - known)
        if unknown:
            raise ValueError(f"a fault has no {', '.join(unknown)}; it has {', '.join(sorted(known))}")
        # On the command line 0 stands for "every match".
        fault = Fault(**{**parameters, "times": parameters.get("times", 1) or None})
        if fault.function is None:
            _require_operation(fault.service, fault.operation)
        return {"id": self._sandbox.faults.add(fault)}

    def _remove_faults(self, parameters: Mapping[str, Any]) -> Any:
        if "id" not in parameters:
            self._sandbox.faults.clear()
        elif not self._sandbox.faults.remove(int(parameters["id"])):
            raise ValueError(f"there is no fault {parameters['id']}")
        return self._sandbox.faults.rules()

    def _list(self, parameters: Mapping[str, Any]) -> Any:
        return self._sandbox.inventory(*_scope(parameters))

    def _calls(self, parameters: Mapping[str, Any]) -> Any:
        wanted = {key: parameters[key] for key in ("service", "operation", "principal") if key in parameters}
        return [as_dict(call) for call in self._sandbox.recorder.calls(**wanted)]

    def _logs(self, parameters: Mapping[str, Any]) -> Any:
        account, region = _scope(parameters)
        events = self._sandbox.log_events(None, account, region)
        wanted = parameters.get("group")
        if wanted is None:
            return events
        found = [event for event in events if _fits_group(event["group"], wanted)]
        if not found:
            where = {name: value for name, value in (("account", account), ("region", region)) if value is not None}
            pages = self._sandbox.client("logs", **where).get_paginator("describe_log_groups").paginate()
            groups = [group["logGroupName"] for page in pages for group in page["logGroups"]]
            if not any(_fits_group(group, wanted) for group in groups):
                raise ValueError(f"there is no log group {wanted!r} here; there are: {', '.join(groups) or 'none'}")
        return found


def _scope(parameters: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Return the account and the region that a request is about, None for the sandbox's default."""
    region = parameters.get("region")
    if region is not None:
        require_region(region)
    return parameters.get("account"), region


def _of_scope(entries: Iterable[Mapping[str, Any]], parameters: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    account, region = _scope(parameters)
    return [e for e in entries if account in (None, e["account"]) and region in (None, e["region"])]


def _fits_group(group: str, wanted: str) -> bool:
    return fnmatchcase(group, wanted) or fnmatchcase(group.rpartition("/")[2], wanted)


def _require_operation(service: str, operation: str) -> None:
    """Refuse a fault that no call could meet: a misspelt one would wait for ever."""
    services = sorted(name for name in _EMULATED if fnmatchcase(name, service))
    if not services:
        raise ValueError(f"the sandbox has no service {service!r}; it has {', '.join(sorted(_EMULATED))}")
    if operation == "*":
        return
    session = botocore.session.get_session()
    names = [
        name for each in services for name in session.get_service_model(_MODEL_NAMES.get(each, each)).operation_names
    ]
    if not any(fnmatchcase(name, operation) for name in names):
        nearest = difflib.get_close_matches(operation, names, 1)
        raise ValueError(f"{service} has no operation {operation!r}" + (f"; is it {nearest[0]}?" if nearest else ""))
