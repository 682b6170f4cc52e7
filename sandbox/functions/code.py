"""What a function is: its configuration and its code, read from moto's Lambda backend."""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
import tempfile
import threading
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sandbox.core import AwsError, NotEmulated

if TYPE_CHECKING:
    from collections.abc import Mapping

_ARN: Final = re.compile(r"arn:([a-z-]+):lambda:([a-z0-9-]+):(\d{12}):function:([A-Za-z0-9_-]+)(?::([A-Za-z0-9_$-]+))?")


@dataclass(frozen=True)
class Function:
    """One version of a function. ``arn`` is what was invoked, qualifier included."""

    arn: str
    account: str
    region: str
    name: str
    version: str
    handler: str
    runtime: str
    role: str
    timeout: float
    memory: int
    environment: Mapping[str, str]
    reserved_concurrency: int | None
    log_group: str
    code: bytes
    code_sha256: str

    @property
    def fingerprint(self) -> str:
        """What a warm worker was started with; a worker serves only invocations of the same."""
        facts = {**asdict(self), "code": None, "reserved_concurrency": None}
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def find(arn: str) -> Function:
    """Return the function of a (qualified) ARN; AwsError ResourceNotFoundException when there is none."""
    from moto.awslambda.exceptions import UnknownFunctionException
    from moto.awslambda.models import lambda_backends

    match = _ARN.fullmatch(arn)
    if match is None:
        raise AwsError("ValidationException", f"{arn} is not the ARN of a function")
    _, region, account, name, qualifier = match.groups()
    backend = lambda_backends[account][region]
    try:
        found: Any = backend.get_function(name, qualifier)
        latest: Any = backend.get_function(name)
    except UnknownFunctionException:
        raise AwsError("ResourceNotFoundException", f"Function not found: {arn}", 404) from None
    if found.package_type != "Zip" or not str(found.run_time).startswith("python"):
        raise NotEmulated(f"functions that are not a zip of Python ({name})")
    if found.layers:
        raise NotEmulated(f"Lambda layers ({name})", "Put everything into the zip.")
    return Function(
        arn=arn,
        account=account,
        region=region,
        name=name,
        version=str(found.version),
        handler=found.handler,
        runtime=found.run_time,
        role=found.role,
        timeout=float(found.timeout),
        memory=int(found.memory_size),
        environment=dict(found.environment_vars or {}),
        reserved_concurrency=None if latest.reserved_concurrency is None else int(latest.reserved_concurrency),
        log_group=f"/aws/lambda/{name}",
        code=found.code_bytes,
        code_sha256=found.code_sha_256,
    )


class CodeStore:
    """Unpacks each zip once, by its hash, below a folder."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = threading.Lock()

    def unpack(self, function: Function) -> Path:
        """Return the folder that holds the function's code, its LAMBDA_TASK_ROOT."""
        target = self._root / hashlib.sha256(function.code).hexdigest()
        with self._lock:
            if not target.exists():
                self._root.mkdir(parents=True, exist_ok=True)
                half = Path(tempfile.mkdtemp(dir=self._root))
                try:
                    with zipfile.ZipFile(io.BytesIO(function.code)) as archive:
                        archive.extractall(half)
                except zipfile.BadZipFile as error:
                    raise AwsError(
                        "InvalidZipFileException", f"The code of {function.arn} is no zip: {error}"
                    ) from error
                half.rename(target)
        return target

    def close(self) -> None:
        """Remove everything."""
        shutil.rmtree(self._root, ignore_errors=True)
