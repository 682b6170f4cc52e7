"""The function runner, with real processes under awslambdaric and moto's Lambda backend."""

from __future__ import annotations

import base64
import io
import json
import os
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sandbox.clock import VirtualClock
from sandbox.core import AwsError, Call, NotEmulated
from sandbox.faults import Fault, Faults
from sandbox.functions import FunctionRunner
from sandbox.principals import Registry, admin_of

ACCOUNT, REGION = "111122223333", "eu-west-1"

CODE = """
import json, os, sys, time, threading

STARTED = []

def handler(event, context):
    STARTED.append(1)
    action = event.get("do", "echo")
    if action == "raise":
        raise KeyError("nothing there")
    if action == "hang":
        time.sleep(60)
    if action == "exit":
        os._exit(3)
    if action == "print":
        print(event["text"])
    if action == "environment":
        return dict(os.environ)
    if action == "meet":
        time.sleep(event["seconds"])
    return {
        "echo": event, "warm": len(STARTED), "pid": os.getpid(), "python": list(sys.version_info[:2]),
        "arn": context.invoked_function_arn, "left": context.get_remaining_time_in_millis(), "cwd": os.getcwd(),
    }
"""


def zipped(**files: str) -> str:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in files.items():
            archive.writestr(f"{name}.py", text)
    return base64.b64encode(buffer.getvalue()).decode()


class Bench:
    """A runner and what came out of it."""

    def __init__(self, runner: FunctionRunner, clock: VirtualClock, faults: Faults, registry: Registry) -> None:
        self.runner, self.clock, self.faults, self.registry = runner, clock, faults, registry
        self.lines: list[tuple[str, str, str]] = []
        self.metrics: list[dict[str, Any]] = []

    def create(self, name: str, files: str | None = None, **spec: Any) -> str:
        from moto.awslambda.models import lambda_backends
        from moto.iam.models import iam_backends

        iam = iam_backends[ACCOUNT]["aws"]
        if "function" not in [role.name for role in iam.roles.values()]:
            iam.create_role("function", "{}", "/", None, None, {}, "3600")
        function = lambda_backends[ACCOUNT][REGION].create_function(
            {
                "FunctionName": name,
                "Handler": "app.handler",
                "Runtime": "python3.13",
                "Role": f"arn:aws:iam::{ACCOUNT}:role/function",
                "Code": {"ZipFile": files or zipped(app=CODE)},
                "Timeout": 20,
                **spec,
            }
        )
        return str(function.function_arn)

    def invoke(self, arn: str, **event: Any) -> Any:
        return json.loads(self.runner.invoke(arn, json.dumps(event).encode()).payload)

    def call(self, **params: Any) -> Any:
        return self.runner.handle(Call("lambda", "Invoke", REGION, ACCOUNT, admin_of(ACCOUNT), params))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with make_bench(tmp_path) as made:
        yield made


@contextmanager
def make_bench(tmp_path: Path, **options: Any) -> Iterator[Bench]:
    from moto import mock_aws

    clock, faults, registry = VirtualClock(), Faults(), Registry()
    with mock_aws():
        runner = FunctionRunner(
            clock,
            registry,
            state_dir=tmp_path,
            endpoint_url="http://127.0.0.1:9",
            log=lambda _a, _r, group, stream, lines: made.lines.extend((group, stream, line) for _, line in lines),
            metrics=lambda _a, _r, document: made.metrics.append(dict(document)),
            faults=faults,
            python=sys.executable,
            **options,
        )
        made = Bench(runner, clock, faults, registry)
        try:
            yield made
        finally:
            runner.close()
            clock.close()
    assert not (tmp_path / "functions").exists()


def elapsed(clock: VirtualClock, act: Callable[[], Any]) -> float:
    before = clock.now()
    act()
    return (clock.now() - before).total_seconds()


def test_the_uploaded_zip_runs_warm_and_costs_virtual_time(bench: Bench) -> None:
    arn = bench.create("echo")
    first = bench.invoke(arn, a=1)
    assert first["echo"] == {"a": 1}
    assert first["arn"] == arn
    assert 15_000 < first["left"] <= 20_000
    answers: list[Any] = []
    assert elapsed(bench.clock, lambda: answers.append(bench.invoke(arn, a=2))) == 1.0
    assert (answers[0]["pid"], answers[0]["warm"]) == (first["pid"], 2)
    assert bench.runner.workers() == {"busy": 0, "idle": 1}


def test_environment_is_the_functions_own_and_nothing_of_the_host_leaks(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "private")
    monkeypatch.setenv("SECRET_OF_THE_HOST", "x")
    arn = bench.create("env", Environment={"Variables": {"MY_SETTING": "7"}}, MemorySize=512)
    environment = bench.invoke(arn, do="environment")
    assert environment["MY_SETTING"] == "7"
    assert not {"AWS_PROFILE", "SECRET_OF_THE_HOST"} & environment.keys()
    assert environment["AWS_LAMBDA_FUNCTION_NAME"] == "env"
    assert environment["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "512"
    assert environment["AWS_REGION"] == REGION
    assert environment["AWS_ENDPOINT_URL"] == "http://127.0.0.1:9"
    assert environment["_X_AMZN_TRACE_ID"].startswith("Root=1-")
    principal = bench.registry.lookup(environment["AWS_ACCESS_KEY_ID"], environment["AWS_SESSION_TOKEN"])
    assert (principal.account, principal.role_name, principal.admin) == (ACCOUNT, "function", False)


def test_an_exception_is_the_error_document(bench: Bench) -> None:
    arn = bench.create("broken")
    invocation = bench.runner.invoke(arn, b'{"do": "raise"}')
    document = json.loads(invocation.payload)
    assert invocation.function_error == "Unhandled"
    assert document["errorType"] == "KeyError"
    assert document["errorMessage"] == "'nothing there'"
    assert document["stackTrace"]
    assert bench.invoke(arn)["warm"] == 2, "an exception does not end the process"


def test_a_timeout_kills_the_process_and_costs_the_timeout(bench: Bench) -> None:
    arn = bench.create("slow", Timeout=1)
    pid = bench.invoke(arn)["pid"]
    document: list[Any] = []
    assert elapsed(bench.clock, lambda: document.append(bench.invoke(arn, do="hang"))) == 1.0
    assert document[0]["errorType"] == "Sandbox.Timedout"
    assert document[0]["errorMessage"].endswith("Error: Task timed out after 1.00 seconds")
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert bench.invoke(arn)["pid"] != pid


def test_a_process_that_ends_is_an_exit_error(bench: Bench) -> None:
    arn = bench.create("crash")
    document = bench.invoke(arn, do="exit")
    assert document["errorType"] == "Runtime.ExitError"
    assert document["errorMessage"].endswith("Runtime exited with error: exit status 3")
    assert bench.invoke(arn)["warm"] == 1


def test_a_module_that_cannot_be_imported(bench: Bench) -> None:
    arn = bench.create("missing", Handler="nowhere.handler")
    for _ in range(2):
        document = bench.invoke(arn)
        assert document["errorType"] == "Runtime.ImportModuleError"
        assert "No module named 'nowhere'" in document["errorMessage"]


def test_logs_and_metrics(bench: Bench) -> None:
    arn = bench.create("talk", Timeout=2)
    emf = json.dumps(
        {
            "_aws": {
                "Timestamp": 1,
                "CloudWatchMetrics": [{"Namespace": "N", "Dimensions": [["d"]], "Metrics": [{"Name": "m"}]}],
            },
            "d": "x",
            "m": 1,
        }
    )
    answer = bench.call(
        FunctionName="talk", Payload=json.dumps({"do": "print", "text": f"hello\n{emf}"}).encode(), LogType="Tail"
    )
    assert answer["StatusCode"] == 200
    texts = [line for _, _, line in bench.lines]
    assert texts[0].startswith("START RequestId: ")
    assert texts[1] == "hello"
    assert texts[-2].startswith("END RequestId: ")
    assert texts[-1].startswith("REPORT RequestId: ")
    assert "Init Duration: " in texts[-1]
    assert {group for group, _, _ in bench.lines} == {"/aws/lambda/talk"}
    assert bench.metrics == [json.loads(emf)]
    bench.invoke(arn, do="hang")
    assert any("Task timed out after 2.00 seconds" in line for _, _, line in bench.lines)


def test_a_role_that_may_not_write_logs_writes_none(tmp_path: Path) -> None:
    class NoLogs:
        def check_action(self, principal: Any, action: str, resource: str, context: Any, region: str) -> None:
            assert resource.startswith(f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/lambda/mute:log-stream:")
            raise AwsError("AccessDenied", "no", 403)

    with make_bench(tmp_path, authorizer=NoLogs()) as bench:
        assert bench.invoke(bench.create("mute"), a=1)["echo"] == {"a": 1}
        assert bench.lines == []


def test_concurrent_invocations_get_workers_of_their_own(bench: Bench) -> None:
    arn = bench.create("many")
    answers: list[Any] = []

    def run() -> None:
        answers.append(bench.invoke(arn, do="meet", seconds=0.5))

    threads = [bench.clock.spawn(run, "t") for _ in range(3)]
    for thread in threads:
        thread.join(30)
    assert len({answer["pid"] for answer in answers}) == 3
    assert bench.runner.workers() == {"busy": 0, "idle": 3}


def test_reserved_concurrency_throttles(bench: Bench) -> None:
    from moto.awslambda.models import lambda_backends

    arn = bench.create("one")
    lambda_backends[ACCOUNT][REGION].put_function_concurrency("one", "1")
    begun = threading.Event()

    def run() -> None:
        begun.set()
        bench.invoke(arn, do="meet", seconds=1.5)

    thread = bench.clock.spawn(run, "t")
    begun.wait()
    time.sleep(0.3)
    with pytest.raises(AwsError) as refused:
        bench.invoke(arn)
    thread.join(30)
    assert (refused.value.code, refused.value.status) == ("TooManyRequestsException", 429)
    assert bench.invoke(arn)["warm"] == 2


def test_versions_keep_their_code(bench: Bench) -> None:
    from moto.awslambda.models import lambda_backends

    backend = lambda_backends[ACCOUNT][REGION]
    bench.create("v", zipped(app="def handler(event, context): return 'old'"))
    version = backend.publish_version("v")
    assert version is not None
    backend.update_function_code("v", None, {"ZipFile": zipped(app="def handler(event, context): return 'new'")})
    base = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:v"
    assert bench.invoke(f"{base}:1") == "old"
    assert bench.invoke(base) == "new"
    assert bench.call(FunctionName="v", Qualifier="1")["ExecutedVersion"] == "1"


def test_unknown_functions_and_foreign_operations(bench: Bench) -> None:
    with pytest.raises(AwsError) as unknown:
        bench.call(FunctionName="nobody")
    assert (unknown.value.code, unknown.value.status) == ("ResourceNotFoundException", 404)
    bench.create("node", Runtime="nodejs22.x")
    with pytest.raises(NotEmulated):
        bench.call(FunctionName="node")
    with pytest.raises(AwsError, match="InvalidRequestContentException"):
        bench.call(FunctionName="node", Payload=b"{")


@pytest.mark.parametrize(("effect", "kind", "cost"), [("raise", "Boom", 1.0), ("timeout", "Sandbox.Timedout", 20.0)])
def test_injected_failures_cost_no_real_time(bench: Bench, effect: Any, kind: str, cost: float) -> None:
    arn = bench.create("victim")
    bench.faults.add(Fault(function="vic*", effect=effect, error="Boom", message="injected"))
    document: list[Any] = []
    began = time.monotonic()
    assert elapsed(bench.clock, lambda: document.append(bench.invoke(arn))) == cost
    assert time.monotonic() - began < 0.5
    assert document[0]["errorType"] == kind
    assert bench.invoke(arn)["echo"] == {}, "the fault was for one invocation"


def test_a_function_that_waits_for_virtual_time_lets_it_pass(bench: Bench) -> None:
    arn = bench.create("outer")
    done = threading.Event()

    def serve() -> None:
        """As the gateway does for a call of the function: it sleeps on the clock."""
        while not bench.runner.workers()["busy"]:
            time.sleep(0.01)
        with bench.runner._lock:
            principal = next(iter(bench.runner._busy.values())).principal
        with bench.clock.busy(), bench.runner.waiting(principal):
            bench.clock.sleep(100)
        done.set()

    threading.Thread(target=serve, daemon=True).start()
    assert elapsed(bench.clock, lambda: bench.invoke(arn, do="meet", seconds=1)) == 101.0
    assert done.is_set()


def test_asynchronous_invocations_are_tried_three_times(bench: Bench) -> None:
    bench.create("event")
    assert bench.call(FunctionName="event", InvocationType="Event", Payload=b'{"do": "raise"}')["StatusCode"] == 202
    deadline = time.monotonic() + 30
    while sum("START" in line for _, _, line in bench.lines) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.2)
    assert sum("START" in line for _, _, line in bench.lines) == 3


def test_more_invocations_than_places_all_run(tmp_path: Path) -> None:
    with make_bench(tmp_path, max_running=2, max_idle=1) as bench:
        arn = bench.create("crowd")
        answers: list[Any] = []
        threads = [bench.clock.spawn(lambda: answers.append(bench.invoke(arn)), "t") for _ in range(6)]
        for thread in threads:
            thread.join(60)
        assert len(answers) == 6
        assert bench.runner.workers()["idle"] == 1


def test_closing_leaves_no_process(bench: Bench) -> None:
    arn = bench.create("stay")
    pid = bench.invoke(arn)["pid"]
    failures: list[str] = []

    def hang() -> None:
        try:
            bench.invoke(arn, do="hang")
        except AwsError as error:
            failures.append(error.code)

    thread = bench.clock.spawn(hang, "t")
    time.sleep(0.5)
    bench.runner.close()
    thread.join(10)
    assert failures == ["ServiceException"]
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(AwsError):
        bench.invoke(arn)
