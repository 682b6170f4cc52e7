"""The sandbox as a whole: its start, its end, and stock tools."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError

from sandbox.server import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Everything that makes temporary files makes them here."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return folder


def test_one_sandbox_after_another_starts_empty_and_leaves_nothing(temporary: Path) -> None:
    for _ in range(2):
        with Sandbox(data_plane=False) as sandbox:
            sns = sandbox.client("sns")
            assert sns.list_topics()["Topics"] == []
            sns.create_topic(Name="left")
            url = sandbox.url
        with pytest.raises(OSError, match="refused"):
            urllib.request.urlopen(url)
        assert list(temporary.iterdir()) == []


def test_two_at_once_are_refused() -> None:
    with Sandbox(data_plane=False), pytest.raises(RuntimeError, match="another sandbox"):
        Sandbox(data_plane=False).start()
    with Sandbox(data_plane=False) as sandbox:
        sandbox.start  # noqa: B018  the refusal left no trace
        sandbox.stop()
        sandbox.stop()


def test_a_port_that_is_taken_leaves_nothing_behind(temporary: Path) -> None:
    with Sandbox(data_plane=False) as sandbox:
        port = int(sandbox.url.rsplit(":", 1)[1])
        code = "from sandbox.__main__ import main; raise SystemExit(main(['up', '--no-data-plane', '--port', '%d']))"
        done = subprocess.run(
            [sys.executable, "-c", code % port], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
        )
    assert done.returncode == 1
    assert f"cannot start on port {port}" in done.stderr
    assert list(temporary.iterdir()) == []


def test_a_state_dir_is_used_and_cleaned(tmp_path: Path) -> None:
    with Sandbox(data_plane=False, state_dir=tmp_path / "state"):
        assert list((tmp_path / "state").iterdir())
    assert list((tmp_path / "state").iterdir()) == []


class Up:
    """``python -m sandbox up`` in a process of its own."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.env_file = folder / "sandbox.env"
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "sandbox", "up", "--port", "0", "--no-data-plane"),
                *("--env-file", str(self.env_file), *arguments),
            ],
            cwd=ROOT,
            env={**os.environ, "TMPDIR": str(folder)},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.lines: list[str] = []
        while not any("Any other account" in line for line in self.lines):
            line = self.process.stdout.readline()
            assert line, self.process.wait(10)
            self.lines.append(line)
        self.url = next(line.split("=", 1)[1].strip() for line in self.lines if "AWS_ENDPOINT_URL=" in line)

    def stop(self, number: int) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    running = Up(tmp_path)
    yield running
    running.process.kill()
    running.process.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_and_leaves_neither_process_nor_file(up: Up, tmp_path: Path, number: int) -> None:
    name: Any = "rds"
    key, secret, token = session_of_a_role(up)
    rds = boto3.Session(key, secret, token, "eu-west-1").client(name, endpoint_url=up.url)
    with pytest.raises(ClientError, match="AccessDenied"):  # by the policy evaluator, which is a process
        rds.describe_db_clusters()
    children = processes("-P", str(up.process.pid))
    assert children
    assert up.stop(number) == 0
    deadline = time.monotonic() + 5
    while (left := [child for child in children if is_alive(child)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not left
    assert list(tmp_path.iterdir()) == []


def session_of_a_role(up: Up) -> tuple[str, str, str]:
    administrator = boto3.Session("AKIASANDBOX111122223333", "sandbox", region_name="eu-west-1")
    trust = (
        '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"sts:*"}}'
    )
    made = administrator.client("iam", endpoint_url=up.url).create_role(RoleName="r", AssumeRolePolicyDocument=trust)
    sts = administrator.client("sts", endpoint_url=up.url)
    given = sts.assume_role(RoleArn=made["Role"]["Arn"], RoleSessionName="session")["Credentials"]
    return given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"]


def processes(*arguments: str) -> list[int]:
    found = subprocess.run(["pgrep", *arguments], capture_output=True, text=True, check=False).stdout
    return [int(line) for line in found.split()]


def is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.skipif(shutil.which("aws") is None, reason="needs the aws CLI")
def test_the_stock_cli_works_with_the_env_file(up: Up, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("content")
    script = f"""
        set -e
        . {up.env_file}
        aws sts get-caller-identity --query Arn --output text
        aws s3 mb s3://cli-bucket >/dev/null
        aws s3 cp --only-show-errors {tmp_path / "file"} s3://cli-bucket/a/file
        aws s3 cp --only-show-errors s3://cli-bucket/a/file -
        aws rds describe-db-clusters --query 'length(DBClusters)'
        aws ecs list-clusters 2>&1 || true
        {sys.executable} -m sandbox ctl calls --service ecs
    """
    done = subprocess.run(["sh", "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "arn:aws:iam::111122223333:root\ncontent0\n" in done.stdout
    assert "does not emulate the service 'ecs'" in done.stdout
    assert '"error": "NotEmulated"' in done.stdout
    assert re.search(r"^export AWS_ENDPOINT_URL=http://127\.0\.0\.1:\d+$", up.env_file.read_text(), re.MULTILINE)


@pytest.mark.parametrize("scale", ["0", "-1", "fast", "inf", "nan"])
def test_a_senseless_time_scale_is_refused(scale: str, capsys: pytest.CaptureFixture[str]) -> None:
    from sandbox.__main__ import main

    with pytest.raises(SystemExit):
        main(["up", f"--time-scale={scale}"])
    assert "neither a positive number nor 'jump'" in capsys.readouterr().err


@pytest.mark.parametrize("servers", ["0", "-1", "many", "1.5"])
def test_a_senseless_number_of_servers_is_refused(servers: str, capsys: pytest.CaptureFixture[str]) -> None:
    from sandbox.__main__ import main

    with pytest.raises(SystemExit):
        main(["up", f"--max-servers={servers}"])
    assert f"'{servers}' is not a" in capsys.readouterr().err


def test_up_takes_how_many_servers_may_run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from sandbox import server
    from sandbox.__main__ import main

    limits = []

    def start(self: Sandbox) -> None:
        limits.append(self._max_servers)
        raise ValueError("enough")

    monkeypatch.setattr(server.Sandbox, "start", start)
    for arguments in ([], ["--max-servers", "40"]):
        assert main(["up", "--port=0", *arguments]) == 1
    assert limits == [12, 40]
    assert "enough" in capsys.readouterr().err


def test_the_sandboxs_databases_have_its_limit() -> None:
    with Sandbox(data_plane=False, max_servers=3) as sandbox:
        assert sandbox.data_plane.max_servers == 3
