"""`make lint`: every static check, each with one line that says what it found; what was skipped is said plainly."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / ".venv/bin"


def check(name: str, *command: str | Path) -> bool:
    """Run one tool; print its output only when it complains."""
    done = subprocess.run([str(c) for c in command], cwd=ROOT, text=True, capture_output=True, check=False)
    print(f"lint: {name}: {'ok' if done.returncode == 0 else 'FAILED'}", flush=True)
    if done.returncode:
        print(done.stdout + done.stderr)
    return done.returncode == 0


def rendered_definition() -> str:
    """The state machine's definition with placeholders replaced by values of the right shape."""
    text = (ROOT / "statemachine.asl.json").read_text()
    json.loads(text)  # valid JSON before rendering, so that editors and tools can read it
    for name in {part.split("}")[0] for part in text.split("${")[1:]}:
        value = (
            "aws"
            if name == "partition"
            else "{}"
            if name.endswith("_json")
            else f"arn:aws:lambda:eu-west-1:111122223333:function:{name}:1"
        )
        text = text.replace("${" + name + "}", value.replace("_", "-") if name.endswith("_arn") else value)
    return text


def check_definition() -> bool:
    """cfn-lint's E3601 over the workflow, wrapped as the CloudFormation resource that it knows."""
    template = {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Resources": {
            "Machine": {
                "Type": "AWS::StepFunctions::StateMachine",
                "Properties": {
                    "RoleArn": "arn:aws:iam::111122223333:role/machine",
                    "Definition": json.loads(rendered_definition()),
                },
            }
        },
    }
    with tempfile.NamedTemporaryFile("w", suffix=".json", delete=False) as file:
        json.dump(template, file)
    try:
        return check(
            "workflow definition (cfn-lint)", TOOLS / "cfn-lint", "--regions", "eu-west-1", "--template", file.name
        )
    finally:
        Path(file.name).unlink()


def main() -> int:
    """All checks, even when an early one fails."""
    results = [
        check("ruff format", TOOLS / "ruff", "format", "--check", "."),
        check("ruff", TOOLS / "ruff", "check", "."),
        check("mypy --strict", TOOLS / "mypy"),
        check("terraform fmt", "terraform", "fmt", "-check", "-recursive"),
        check_definition(),
    ]
    if shutil.which("tflint"):
        results.append(check("tflint", "tflint", "--recursive"))
    else:
        print("lint: tflint: SKIPPED, it is not installed here (.tflint.hcl holds its rules)")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
