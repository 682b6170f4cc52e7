"""The documents say what is true now."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from scripts import generate_docs

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("document", generate_docs.documents(), ids=lambda path: path.name)
def test_generated_parts_are_current(document: Path) -> None:
    assert generate_docs.rendered(document) == document.read_text(), "run `make docs`"


def test_every_generated_part_stands_somewhere() -> None:
    text = "".join(document.read_text() for document in generate_docs.documents())
    for name in generate_docs.PARTS:
        assert f"<!-- BEGIN {name} (make docs) -->" in text


def test_every_default_of_the_schema_is_in_the_input_reference() -> None:
    lines = {line.split("`")[1]: line for line in generate_docs.input_reference().splitlines()[2:]}
    found = []

    def look(prefix: str, fields: dict[str, Any]) -> None:
        for name, field in fields.items():
            if "default" in field:
                found.append(prefix + name)
                assert lines[prefix + name].count("Default: ") == 1
            look(f"{prefix}{name}.", field.get("properties", {}))
            look(f"{prefix}{name}[].", field.get("items", {}).get("properties", {}))

    look("", json.loads((ROOT / "lambda_src/aurora_restore/request.schema.json").read_text())["properties"])
    assert {"mode", "readers", "snapshot_selector.type"} <= set(found)
    assert 'Default: `"restore"`.' in lines["mode"]


def test_relative_links_lead_somewhere() -> None:
    for document in generate_docs.documents():
        for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text()):
            assert (document.parent / link).exists(), f"{document.name}: {link}"


def test_the_map_of_the_package_has_every_part_of_it() -> None:
    text = (ROOT / "docs/implementation.md").read_text()
    of_the_map = text.partition("## Where things are")[2].partition("\n## ")[0]
    package = ROOT / "lambda_src/aurora_restore"
    parts = {path.name for path in package.glob("*.py")} - {"__init__.py"}
    parts |= {f"{path.parent.name}/" for path in package.glob("*/__init__.py")}
    assert [part for part in sorted(parts) if f"{part}`" not in of_the_map] == []


def test_no_registry_host_and_no_large_file_is_tracked() -> None:
    hosts = r"p[y]pi[.]org|python[h]osted[.]org|registry[.]n[p]mjs|deb[.]d[e]bian[.]org"
    found = subprocess.run(
        ["git", "grep", "-nIE", hosts, "--", "."], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert found.stdout == ""
