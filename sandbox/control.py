"""The sandbox's own API under ``/_sandbox/``: what AWS has no call for. ``python -m sandbox ctl`` speaks it.

Every answer is JSON: ``{"result": …}``, or ``{"error": "…"}`` with a status of 4xx.
"""

from __future__ import annotations

import json
from dataclasses import fields
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response

from sandbox.core import AwsError
from sandbox.faults import Fault
from sandbox.gateway import CONTROL_PREFIX
from sandbox.recorder import as_dict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from wsgiref.types import StartResponse, WSGIEnvironment

    from sandbox.server import Sandbox


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
            ("GET", "list"): self._list,
            ("GET", "calls"): self._calls,
            ("GET", "messages"): lambda _: sandbox.messages(),
            ("GET", "metrics"): lambda _: sandbox.metrics(),
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
        return self._sandbox.take_automated_snapshot(
            parameters["cluster"], parameters.get("account"), parameters.get("region")
        )

    def _add_fault(self, parameters: Mapping[str, Any]) -> Any:
        known = {field.name for field in fields(Fault)}
        unknown = sorted(set(parameters) - known)
        if unknown:
            raise ValueError(f"a fault has no {', '.join(unknown)}; it has {', '.join(sorted(known))}")
        return {"id": self._sandbox.faults.add(Fault(**parameters))}

    def _remove_faults(self, parameters: Mapping[str, Any]) -> Any:
        if "id" not in parameters:
            self._sandbox.faults.clear()
        elif not self._sandbox.faults.remove(int(parameters["id"])):
            raise ValueError(f"there is no fault {parameters['id']}")
        return self._sandbox.faults.rules()

    def _list(self, parameters: Mapping[str, Any]) -> Any:
        return self._sandbox.inventory(parameters.get("account"), parameters.get("region"))

    def _calls(self, parameters: Mapping[str, Any]) -> Any:
        wanted = {key: parameters[key] for key in ("service", "operation", "principal") if key in parameters}
        return [as_dict(call) for call in self._sandbox.recorder.calls(**wanted)]

    def _logs(self, parameters: Mapping[str, Any]) -> Any:
        return self._sandbox.log_events(parameters.get("group"), parameters.get("account"), parameters.get("region"))
