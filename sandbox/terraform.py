"""Terraform against the sandbox: stock `terraform`, its working files kept out of the configuration's folder."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# Set-up writes here where the AWS provider comes from.
_CLI_CONFIG = Path(__file__).resolve().parent.parent / ".build/terraformrc"


class TerraformError(Exception):
    """A command of Terraform's that failed; the message is what it printed."""


@dataclass(frozen=True)
class TerraformRoot:
    """One root module with a state of its own.

    ``folder`` holds the configuration, ``work`` takes the provider links, the state and the variables, ``environment``
    is what `python -m sandbox up` prints.
    """

    folder: Path
    work: Path
    environment: Mapping[str, str]
    variables: dict[str, Any] = field(default_factory=dict)

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run one command; with ``check`` a failure raises TerraformError with the output."""
        self.work.mkdir(parents=True, exist_ok=True)
        environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("AWS_")},
            **self.environment,
            "TF_DATA_DIR": str(self.work / "data"),
            "TF_IN_AUTOMATION": "1",
            "TF_CLI_ARGS": "-no-color",
            **({"TF_CLI_CONFIG_FILE": str(_CLI_CONFIG)} if _CLI_CONFIG.exists() else {}),
        }
        done = subprocess.run(
            ["terraform", *arguments], cwd=self.folder, env=environment, text=True, capture_output=True, check=False
        )
        if check and done.returncode:
            raise TerraformError(f"terraform {arguments[0]} failed:\n{done.stdout}\n{done.stderr}")
        return done

    def _with_state(self, command: str, *arguments: str) -> list[str]:
        variables = self.work / "variables.tfvars.json"
        variables.write_text(json.dumps(self.variables))
        state = f"-state={self.work / 'terraform.tfstate'}"
        return [command, "-input=false", state, f"-var-file={variables}", *arguments]

    def apply(self, *arguments: str) -> dict[str, Any]:
        """init and apply; returns the outputs."""
        if not (self.work / "data").exists():
            self.run("init", "-input=false", "-backend=false")
        self.run(*self._with_state("apply", "-auto-approve", *arguments))
        return self.outputs()

    def outputs(self) -> dict[str, Any]:
        """The root module's outputs by name."""
        printed = self.run("output", f"-state={self.work / 'terraform.tfstate'}", "-json").stdout
        return {name: output["value"] for name, output in json.loads(printed).items()}

    def plan(self, *arguments: str) -> tuple[bool, str]:
        """Whether a plan is empty, and what it printed."""
        done = self.run(*self._with_state("plan", "-detailed-exitcode", *arguments), check=False)
        if done.returncode not in {0, 2}:
            raise TerraformError(f"terraform plan failed:\n{done.stdout}\n{done.stderr}")
        return done.returncode == 0, done.stdout

    def destroy(self) -> None:
        """Destroy everything in the state."""
        self.run(*self._with_state("destroy", "-auto-approve"))
