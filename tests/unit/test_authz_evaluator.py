"""The evaluator's process: found or missed with one clear sentence, fast enough for every call, never revived."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from sandbox.authz import Evaluator, EvaluatorUnavailable
from sandbox.authz import evaluator as module

SANDBOX = Path(__file__).parents[2] / "sandbox"


def question(number: int = 0) -> dict[str, Any]:
    condition = {"StringEquals": {"aws:ResourceTag/aurora-restore:managed-by": "D"}}
    statement = {"Effect": "Allow", "Action": "rds:*", "Resource": "*", "Condition": condition}
    return {
        "principal": "arn:aws:sts::123456789012:assumed-role/worker/session",
        "action": "rds:DeleteDBCluster",
        "resource": f"arn:aws:rds:eu-west-1:123456789012:cluster:c{number}",
        "resourceAccount": "123456789012",
        "context": {"aws:ResourceTag/aurora-restore:managed-by": "D"},
        "identity": [{"name": "p", "text": json.dumps({"Version": "2012-10-17", "Statement": statement})}],
        "boundary": [],
        "resourcePolicy": None,
        "modelled": [],
    }


def test_without_node_there_is_one_clear_error() -> None:
    with pytest.raises(EvaluatorUnavailable, match=r"'no-such-node' on the PATH: install Node\.js 20 or newer"):
        Evaluator(node="no-such-node").evaluate(question())


def test_without_its_packages_the_error_names_the_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "_PACKAGES", tmp_path / "none")
    with pytest.raises(EvaluatorUnavailable, match="npm ci"):
        Evaluator().evaluate(question())


def test_it_starts_at_the_first_question_and_ends_when_closed() -> None:
    evaluator = Evaluator()
    assert evaluator.pid is None
    assert evaluator.evaluate(question())["result"] == "Allowed"
    pid = evaluator.pid
    assert pid is not None
    evaluator.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(EvaluatorUnavailable, match="closed"):
        evaluator.evaluate(question(1))


def test_a_dead_evaluator_stays_dead() -> None:
    evaluator = Evaluator()
    evaluator.evaluate(question())
    assert evaluator.pid is not None
    os.kill(evaluator.pid, signal.SIGKILL)
    for number in (1, 2):
        with pytest.raises(EvaluatorUnavailable, match="ended with status -9"):
            evaluator.evaluate(question(number))
    evaluator.close()


def test_a_failure_of_the_script_is_told_with_its_question() -> None:
    evaluator = Evaluator()
    with pytest.raises(EvaluatorUnavailable, match=r"failed on .*cannot read|failed on .*TypeError"):
        evaluator.evaluate({"action": "rds:DescribeEvents"})
    evaluator.close()


def test_decisions_are_fast_enough_for_every_call() -> None:
    evaluator = Evaluator()
    evaluator.evaluate(question())
    start = time.perf_counter()
    for number in range(1, 201):
        evaluator.evaluate(question(number))
    elapsed = time.perf_counter() - start
    evaluator.close()
    assert elapsed / 200 < 0.02, f"{200 / elapsed:.0f} decisions per second"


def test_the_lock_file_names_no_registry_and_keeps_the_hashes() -> None:
    lock = json.loads((SANDBOX / "package-lock.json").read_text())
    packages = {name: entry for name, entry in lock["packages"].items() if name}
    assert packages
    assert all(entry["integrity"].startswith("sha512-") for entry in packages.values())
    assert not any("resolved" in entry for entry in packages.values())
    wanted = json.loads((SANDBOX / "package.json").read_text())["dependencies"]
    assert wanted == {name: packages[f"node_modules/{name}"]["version"] for name in wanted}


def test_the_script_is_valid_without_running_it() -> None:
    subprocess.run(["node", "--check", SANDBOX / "authz" / "evaluator.mjs"], check=True)
