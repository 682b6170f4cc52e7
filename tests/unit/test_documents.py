"""The documents say what is true now."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

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


def test_relative_links_lead_somewhere() -> None:
    for document in generate_docs.documents():
        for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text()):
            assert (document.parent / link).exists(), f"{document.name}: {link}"


def test_no_registry_host_and_no_large_file_is_tracked() -> None:
    hosts = r"p[y]pi[.]org|python[h]osted[.]org|registry[.]n[p]mjs|deb[.]d[e]bian[.]org"
    found = subprocess.run(
        ["git", "grep", "-nIE", hosts, "--", "."], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert found.stdout == ""
