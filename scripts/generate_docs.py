"""`make docs`: write the parts of the documents that are facts of the code, between their markers.

The input reference comes from the request's JSON Schema, the variables and outputs from the module, the troubleshooting
table from the error classes. A unit test checks that what is committed is what this would write.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hcl2

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "lambda_src"))


def cell(text: str) -> str:
    """Text as it may stand in a table's cell."""
    return re.sub(r"\s+", " ", text).replace("|", "\\|").strip()


def table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell(value) for value in line) + " |" for line in lines)


def schema_type(schema: dict[str, Any]) -> str:
    """A short name of what a field takes."""
    if "enum" in schema:
        return " or ".join(f"`{json.dumps(value)}`" for value in schema["enum"])
    kind = schema.get("type", "any")
    kinds = kind if isinstance(kind, list) else [kind]
    if kinds == ["array"]:
        return f"list of {schema_type(schema['items'])}"
    limits = [f"{word} {schema[key]}" for key, word in (("minimum", "≥"), ("maximum", "≤")) if key in schema]
    return " or ".join(kinds) + (f" ({', '.join(limits)})" if limits else "")


def input_reference() -> str:
    """The execution input, field by field."""
    schema = json.loads((ROOT / "lambda_src/aurora_restore/request.schema.json").read_text())
    rows: list[list[str]] = []

    def add(prefix: str, fields: dict[str, Any], required: list[str]) -> None:
        for name, field in fields.items():
            notes = field.get("description", "")
            if "default" in field and "Default:" not in notes:
                notes += f" Default: `{json.dumps(field['default'])}`."
            if aliases := field.get("x-aliases"):
                notes += f" Also accepted as {', '.join(f'`{alias}`' for alias in aliases)}."
            if examples := field.get("examples"):
                notes += f" Example: `{json.dumps(examples[0])}`."
            rows.append([f"`{prefix}{name}`" + (" *" if name in required else ""), schema_type(field), notes])
            nested = field.get("items", field)
            if "properties" in nested:
                add(
                    f"{prefix}{name}{'[]' if 'items' in field else ''}.",
                    nested["properties"],
                    nested.get("required", []),
                )

    add("", schema["properties"], schema["required"])
    return table(["Field", "Takes", "Meaning"], rows)


def blocks(kind: str) -> list[tuple[str, dict[str, Any]]]:
    """All `variable` or `output` blocks of the root module, in the order of the file."""
    with (ROOT / f"{kind}s.tf").open() as file:
        parsed = hcl2.load(file)
    return [(name.strip('"'), body) for block in parsed[kind] for name, body in block.items()]


def plain(value: Any) -> str:
    """A string of the parser's without its quotes or heredoc frame."""
    text = str(value).strip('"')
    return re.sub(r"^<<-?EOT\n|\n\s*EOT$", "", text).replace('\\"', '"').replace("\\n", "\n")


def variable_reference() -> str:
    """The module's variables."""
    rows = []
    for name, body in blocks("variable"):
        default = "required" if "default" not in body else f"`{default_text(body['default'])}`"
        description = re.sub(r"\n\s*- ", "<br>- ", plain(body["description"]))
        rows.append([f"`{name}`", description, default])
    return table(["Variable", "Meaning", "Default"], rows)


def default_text(value: Any) -> str:
    """A default as it would be written in HCL."""
    if isinstance(value, str):
        return value.removeprefix("${").removesuffix("}") if value.startswith("${") else value
    return json.dumps(value) if value is not None else "null"


def output_reference() -> str:
    """The module's outputs."""
    return table(["Output", "Meaning"], [[f"`{name}`", plain(body["description"])] for name, body in blocks("output")])


def error_reference() -> str:
    """Every error code with its cause and remedy."""
    from aurora_restore.errors import TABLE

    rows = [
        [
            f"`{error.code}`",
            f"`{error.__name__}`",
            (error.__doc__ or "").strip(),
            error.remedy,
            "yes, by the workflow" if error.retryable else "no",
        ]
        for error in sorted(TABLE, key=lambda error: error.code)
    ]
    return table(["Code", "Error name", "Cause", "Remedy", "Retried"], rows)


PARTS: dict[str, Callable[[], str]] = {
    "input reference": input_reference,
    "variables": variable_reference,
    "outputs": output_reference,
    "errors": error_reference,
}


def rendered(document: Path) -> str:
    """The document with its generated parts written anew."""
    text = document.read_text()
    for name, write in PARTS.items():
        begin, end = f"<!-- BEGIN {name} (make docs) -->", f"<!-- END {name} -->"
        if begin in text:
            before, _, rest = text.partition(begin)
            _, found, after = rest.partition(end)
            if not found:
                raise SystemExit(f"{document.name}: {begin} has no {end}")
            text = f"{before}{begin}\n{write()}\n{end}{after}"
    return text


def documents() -> list[Path]:
    """The documents that may hold generated parts."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def main() -> int:
    """Write what has changed."""
    for document in documents():
        text = rendered(document)
        if text != document.read_text():
            document.write_text(text)
            print(f"docs: wrote {document.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
