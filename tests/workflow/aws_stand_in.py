"""What of the `aws` command docs/sandbox.md uses, over botocore: for machines without the AWS CLI.

It reads the same arguments by the same service models: `aws <service> <operation> --some-parameter value … --query …
--output json|text --region …`.
"""

from __future__ import annotations

import json
import sys
from itertools import groupby
from typing import Any

import botocore.session
import jmespath  # type: ignore[import-untyped]
from botocore import xform_name
from botocore.exceptions import ClientError


def main(arguments: list[str]) -> int:
    service, command, *rest = arguments
    options = _options(rest)
    query, output, region = (options.pop(name, [None])[0] for name in ("query", "output", "region"))
    client = botocore.session.get_session().create_client(service, region_name=region)
    method = command.replace("-", "_")
    model: Any = client.meta.service_model.operation_model(client.meta.method_to_api_mapping[method])
    members = {xform_name(name, "-"): (name, shape) for name, shape in model.input_shape.members.items()}
    parameters = {members[name][0]: _value(members[name][1], words) for name, words in options.items()}
    try:
        if client.can_paginate(method):
            answer = client.get_paginator(method).paginate(**parameters).build_full_result()
        else:
            answer = getattr(client, method)(**parameters)
    except ClientError as error:
        sys.stderr.write(f"\n{error}\n")
        return 254
    answer.pop("ResponseMetadata", None)
    result = jmespath.search(query, answer) if query else answer
    text = "\n".join(_text(result)) if output == "text" else json.dumps(result, indent=4, default=str)
    sys.stdout.write(f"{text}\n")
    return 0


def _options(rest: list[str]) -> dict[str, list[str]]:
    """The words after each --option."""
    options: dict[str, list[str]] = {}
    for word in rest:
        if word.startswith("--"):
            options[word[2:]] = []
        else:
            options[next(reversed(options))].append(word)
    return options


def _value(shape: Any, words: list[str]) -> Any:
    if shape.type_name in {"structure", "map"} or (shape.type_name == "list" and words[0].startswith("[")):
        return json.loads(words[0])
    if shape.type_name == "list":
        return words
    if shape.type_name == "boolean":
        return True
    return int(words[0]) if shape.type_name in {"integer", "long"} else words[0]


def _text(result: Any) -> list[str]:
    """Scalars of one list on one line, as the CLI does."""
    if not isinstance(result, list):
        return ["None" if result is None else str(result)]
    lines: list[str] = []
    for nested, items in groupby(result, lambda item: isinstance(item, list)):
        if nested:
            lines += [line for item in items for line in _text(item)]
        else:
            lines.append("\t".join(map(str, items)))
    return lines


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
