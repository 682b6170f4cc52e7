"""The control API, through the commands that speak it."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from sandbox import moto_support
from sandbox.__main__ import main
from sandbox.server import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

ACCOUNT, REGION = "111122223333", "eu-west-1"


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    with Sandbox(data_plane=False) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    for name, value in running.env(ACCOUNT, REGION).items():
        monkeypatch.setenv(name, value)
    running.faults.clear()
    return running


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    code = main(list(arguments))
    printed = capsys.readouterr()
    assert code == 0, printed.err
    return printed.out


def fail(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    code = main(list(arguments))
    printed = capsys.readouterr()
    assert code == 1, printed.out
    return printed.err


def test_the_clock_can_be_read_and_advanced(sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    before = sandbox.clock.now()
    assert run(capsys, "ctl", "clock") == f"{before.isoformat()} (jump)\n"
    after = datetime.fromisoformat(run(capsys, "ctl", "advance", "90m").strip())
    assert (after - before).total_seconds() == 5400


@pytest.mark.parametrize("duration", ["", "x", "-1", "1w"])
def test_a_senseless_duration_is_refused(sandbox: Sandbox, duration: str) -> None:
    with pytest.raises(SystemExit):
        main(["ctl", "advance", "--", duration])


def test_faults_are_planned_listed_and_taken_back(sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    assert "fault 1 is planned" in run(
        capsys,
        *("ctl", "fault", "rds:Create*", "--error", "Throttling", "--times", "0", "--delay", "5m"),
        *("--region", "us-*"),
    )
    run(capsys, "ctl", "fault", "--function", "d-verify-*", "--effect", "timeout")
    first, second = (json.loads(line) for line in run(capsys, "ctl", "fault").splitlines())
    shown = {"service": "rds", "operation": "Create*", "region": "us-*", "error": "Throttling", "delay_seconds": 300}
    assert {name: first[name] for name in shown} == shown
    assert (second["function"], second["effect"], second["times"]) == ("d-verify-*", "timeout", 1)
    run(capsys, "ctl", "fault", "--remove", str(first["id"]))
    assert len(run(capsys, "ctl", "fault").splitlines()) == 1
    run(capsys, "ctl", "fault", "--clear")
    assert run(capsys, "ctl", "fault") == ""
    assert "there is no fault 99" in fail(capsys, "ctl", "fault", "--remove", "99")
    assert "needs an error or a delay" in fail(capsys, "ctl", "fault", "rds:*")
    assert "both its name pattern and an effect" in fail(capsys, "ctl", "fault", "--function", "f")


def test_snapshots_of_aws_s_own_are_taken_and_listed(sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    rds = sandbox.client("rds")
    rds.create_db_cluster(
        DBClusterIdentifier="source",
        Engine="aurora-postgresql",
        MasterUsername="boss",
        MasterUserPassword="secret-password",
    )
    sandbox.clock.sleep(1800)
    assert ":cluster-snapshot:rds:source-" in run(capsys, "ctl", "snapshot", "source")
    assert ":cluster-snapshot:awsbackup:job-" in run(capsys, "ctl", "snapshot", "source", "--kind", "backup")
    listed = run(capsys, "ctl", "list")
    assert "id=source" in listed
    assert "cluster=source  kind=automated" in listed
    assert "cluster=source  kind=awsbackup" in listed
    assert "vpc=vpc-" in listed
    assert "executions: none" in listed
    assert "DBClusterNotFoundFault" in fail(capsys, "ctl", "snapshot", "missing")


def test_messages_metrics_logs_and_calls_are_printed(sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    sns = sandbox.client("sns")
    topic = sns.create_topic(Name="printed")["TopicArn"]
    sns.publish(TopicArn=topic, Subject="It is done", Message="Really.")
    assert "Subject: It is done\n\nReally." in run(capsys, "messages")
    directive = {
        "Namespace": "AuroraRestore",
        "Dimensions": [["phase"]],
        "Metrics": [{"Name": "Duration", "Unit": "Seconds"}],
    }
    document = {"_aws": {"CloudWatchMetrics": [directive]}, "phase": "restore", "Duration": 12.5}
    sandbox.recorder.add_metrics(ACCOUNT, REGION, document)
    assert "AuroraRestore Duration{phase=restore} 12.5 Seconds" in run(capsys, "metrics")
    at = int(datetime(2026, 1, 2, tzinfo=UTC).timestamp() * 1000)
    moto_support.put_log_events(ACCOUNT, REGION, "/aws/lambda/printed", "s", [(at, "a line\n")])
    assert run(capsys, "logs", "/aws/lambda/printed") == "2026-01-02T00:00:00+00:00 /aws/lambda/printed a line\n"
    assert "/aws/lambda/printed" in run(capsys, "logs")
    calls = [json.loads(line) for line in run(capsys, "ctl", "calls", "--service", "sns").splitlines()]
    assert {call["operation"] for call in calls} == {"CreateTopic", "Publish"}


def test_a_wrong_address_is_said_clearly(capsys: pytest.CaptureFixture[str]) -> None:
    assert "no sandbox answers at http://127.0.0.1:9" in fail(capsys, "ctl", "clock", "--url", "http://127.0.0.1:9")
    assert "is not a URL" in fail(capsys, "ctl", "clock", "--url", "file:///etc/passwd")


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "nothing", None, 404),
        ("DELETE", "clock", None, 405),
        ("POST", "clock/advance", b"{}", 400),
        ("POST", "clock/advance", b"{", 400),
        ("POST", "clock/advance", b'{"seconds": -1}', 400),
        ("POST", "faults", b'{"colour": "red"}', 400),
    ],
)
def test_bad_control_requests_are_refused(
    sandbox: Sandbox, method: str, path: str, body: bytes | None, status: int
) -> None:
    request = urllib.request.Request(
        f"{sandbox.url}/_sandbox/{path}", data=body, method=method, headers={"Content-Type": "application/json"}
    )
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)
    assert caught.value.code == status
    assert json.load(caught.value)["error"]
