"""The Lambda zip: what is in it, what its name depends on, and that it is the same wherever it is built."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import hcl2
import pytest

from scripts import package
from scripts.setup import LAMBDA_ENV, find_python_313

ROOT = package.ROOT
# What the runtime brings: boto3 and what only it needs. jmespath, dateutil and six are in the zip, which comes first.
RUNTIME_PACKAGES = ("boto3", "botocore", "s3transfer", "urllib3")


def handlers() -> list[str]:
    """The handlers of the module's functions: the keys of the local value `steps`."""
    with (ROOT / "main.tf").open() as file:
        blocks = hcl2.load(file)["locals"]
    return sorted(next(block["steps"] for block in blocks if "steps" in block))


def lambda_python() -> str:
    """The interpreter that stands for the Lambda runtime: the sandbox runs functions with it, too."""
    python = LAMBDA_ENV / "bin/python"
    return str(python) if python.exists() else sys.executable


def run(script: Path, *arguments: str | Path, python: str | Path = sys.executable, **environment: str) -> str:
    """What package.py prints; a failure raises with what it complained of."""
    done = subprocess.run(
        [python, script, *arguments], env={**os.environ, **environment}, text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The zip as this interpreter builds it."""
    return package.build(tmp_path_factory.mktemp("package"))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the sources that may be changed; returns its package.py."""
    shutil.copytree(
        package.SOURCES, tmp_path / "tree/lambda_src", ignore=shutil.ignore_patterns("__pycache__", ".mypy_cache")
    )
    (tmp_path / "tree/scripts").mkdir()
    return Path(shutil.copy(ROOT / "scripts/package.py", tmp_path / "tree/scripts"))


def test_a_second_build_gives_the_same_bytes(built: Path, tmp_path: Path) -> None:
    again = package.build(tmp_path)
    assert again.name == built.name == f"{package.source_hash()}.zip"
    assert again.read_bytes() == built.read_bytes()


def test_python_3_13_builds_the_same(built: Path, tmp_path: Path) -> None:
    python = find_python_313()
    if python is None:
        pytest.skip("no Python 3.13 on this machine to build a second zip with")
    printed = run(ROOT / "scripts/package.py", "--build-dir", tmp_path, "--print-manifest", python=python)

    assert printed == package.manifest(built)
    zlib = "import zlib; print(zlib.ZLIB_RUNTIME_VERSION)"
    compressors = {subprocess.check_output([p, "-c", zlib], text=True) for p in (python, sys.executable)}
    if len(compressors) == 1:  # the promise is the same manifest everywhere, the same bytes for the same zlib
        assert (tmp_path / built.name).read_bytes() == built.read_bytes()


def test_a_build_leaves_nothing_but_the_zip_and_keeps_one_that_is_there(built: Path) -> None:
    assert [path.name for path in built.parent.iterdir()] == [built.name]
    before = built.stat()
    assert package.build(built.parent, package.source_hash()) == built
    assert built.stat().st_mtime_ns == before.st_mtime_ns


def test_the_zip_holds_what_runs_and_nothing_else(built: Path) -> None:
    assert built.stat().st_size <= 2 * 1024 * 1024
    with zipfile.ZipFile(built) as archive:
        entries = archive.infolist()
    names = [entry.filename for entry in entries]
    assert names == sorted(set(names))
    tops = {name.split("/")[0] for name in names}
    assert {"aurora_restore", "aws_lambda_powertools", "pg8000", "pymysql"} <= tops
    assert not tops & {*RUNTIME_PACKAGES, "tests", "test", "bin"}
    assert [name for name in names if re.search(r"\.(so|pyd|dylib|dll|pyc|c|h|exe)$|__pycache__|/tests?/", name)] == []
    assert {entry.date_time for entry in entries} == {package.FIXED_DATE}
    assert {entry.create_system for entry in entries} == {package.UNIX}
    # Lambda runs as somebody else than the owner.
    assert {entry.external_attr >> 16 for entry in entries} == {stat.S_IFREG | 0o644}


def test_every_source_of_the_package_is_in_the_zip(built: Path) -> None:
    with zipfile.ZipFile(built) as archive:
        packed = {name for name in archive.namelist() if name.startswith("aurora_restore/")}
    written = [p for p in (package.SOURCES / "aurora_restore").rglob("*") if p.is_file() and p.suffix != ".pyc"]
    missing = {path.relative_to(package.SOURCES).as_posix() for path in written} - packed
    assert missing == {"aurora_restore/py.typed"}, "a kind of file that package.py leaves out"


def test_the_zip_says_what_it_was_built_from(built: Path) -> None:
    with zipfile.ZipFile(built) as archive:
        assert archive.read(package.SOURCE_HASH_FILE).decode().strip() == package.source_hash()


def wheel(folder: Path, *names: str) -> Path:
    """A wheel with these files in it."""
    path = folder / "thing-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, name)
    return path


def test_of_a_wheel_only_what_is_of_use_at_run_time_is_taken(tmp_path: Path) -> None:
    kept = (
        "thing/__init__.py",
        "thing/words.txt",
        "thing-1.0.dist-info/METADATA",
        "thing-1.0.dist-info/licenses/LICENSE",
    )
    left = (
        *("thing/__init__.pyi", "thing/py.typed", "thing/__pycache__/__init__.cpython-311.pyc"),
        *("thing-1.0.dist-info/RECORD", "thing-1.0.dist-info/WHEEL", "thing-1.0.data/scripts/thing"),
    )
    ours = set(package.contents([]))
    assert set(package.contents([wheel(tmp_path, *left, *kept)])) - ours == set(kept)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("thing/_fast.cpython-311-x86_64-linux-gnu.so", "compiled code"),
        ("aurora_restore/errors.py", "in the zip already"),
    ],
)
def test_a_wheel_that_would_spoil_the_zip_is_refused(tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(package.PackageError, match=said):
        package.contents([wheel(tmp_path, name)])


def test_what_is_locked_is_what_is_packed(built: Path) -> None:
    lock = (ROOT / "lambda_src/requirements.txt").read_text()
    requirements = [line for line in lock.replace("\\\n", " ").splitlines() if line and not line.startswith("#")]
    assert requirements
    assert [line for line in requirements if not re.search(r"==\S+ .*--hash=sha256:[0-9a-f]{64}", line)] == []
    assert not re.search(r"://|index-url|find-links|trusted-host", lock), "which index to ask is the machine's setting"

    def normal(name: str) -> str:
        return re.sub(r"[-_.]+", "-", name).lower()

    locked = {tuple(map(normal, re.match(r"(\S+)==(\S+)", line).groups())) for line in requirements}  # type: ignore[union-attr]
    with zipfile.ZipFile(built) as archive:
        folders = {name.split(".dist-info/")[0] for name in archive.namelist() if ".dist-info/" in name}
    assert {tuple(map(normal, folder.rsplit("-", 1))) for folder in folders} == locked
    wanted = re.findall(r"^[a-z][\w-]*", (ROOT / "lambda_src/requirements.in").read_text(), re.MULTILINE)
    assert {normal(name) for name in wanted} <= {name for name, _ in locked}


def test_there_is_a_function_for_every_handler() -> None:
    files = (ROOT / "lambda_src/aurora_restore/handlers").glob("[!_]*.py")
    assert handlers() == sorted(path.stem for path in files)


@pytest.fixture(scope="module")
def task(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The zip as Lambda unpacks it, and beside it the runtime's boto3."""
    folder = tmp_path_factory.mktemp("lambda")
    with zipfile.ZipFile(built) as archive:
        archive.extractall(folder / "task")
    where = "import importlib.util as u, sys; print(u.find_spec(sys.argv[1]).origin, end='')"
    (folder / "runtime").mkdir()
    for name in RUNTIME_PACKAGES:
        found = subprocess.check_output([lambda_python(), "-c", where, name], text=True)
        (folder / "runtime" / name).symlink_to(Path(found).parent)
    return folder / "task"


def import_from(task: Path, program: str) -> None:
    """Run a program in a fresh process that has the zip, the runtime's boto3 and the standard library, no more."""
    program = f"""
import sys
sys.path[:0] = sys.argv[1:]
{program}
files = [m.__file__ for name, m in sys.modules.items() if name.split(".")[0] == "aurora_restore"]
assert files and all(file.startswith(sys.argv[1]) for file in files), files
"""
    done = subprocess.run(
        [lambda_python(), "-I", "-S", "-B", "-c", program, task, task.parent / "runtime"],
        env={"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-1"},
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("handler", handlers())
def test_each_handler_can_be_imported_from_the_zip(task: Path, handler: str) -> None:
    import_from(task, f"from aurora_restore.handlers import {handler}; assert callable({handler}.handler)")


def test_so_can_what_handlers_import_only_when_they_need_it(task: Path) -> None:
    program = """
import importlib, pkgutil, pg8000.dbapi, pymysql, aurora_restore
for module in pkgutil.walk_packages(aurora_restore.__path__, "aurora_restore."):
    importlib.import_module(module.name)
"""
    import_from(task, program)


@pytest.mark.parametrize(
    "changed",
    [
        "lambda_src/aurora_restore/handlers/cleanup.py",
        "lambda_src/aurora_restore/request.schema.json",
        "lambda_src/requirements.txt",
        "scripts/package.py",
        "lambda_src/aurora_restore/handlers/quite_new.py",
    ],
)
def test_a_changed_source_changes_the_hash(tree: Path, changed: str) -> None:
    before = run(tree, "--print-hash")
    with (tree.parents[1] / changed).open("a") as file:
        file.write("\n")
    assert run(tree, "--print-hash") != before


def test_what_is_not_a_source_changes_nothing(tree: Path) -> None:
    before = run(tree, "--print-hash")
    folder = tree.parents[1] / "lambda_src/aurora_restore"
    (folder / "handlers/__pycache__").mkdir()
    for stray in ("handlers/__pycache__/cleanup.cpython-313.pyc", "notes.txt", ".cleanup.py.swp", "../stray.py"):
        (folder / stray).write_text("stray")
    for path in folder.rglob("*.py"):
        os.utime(path, (0, 0))
        path.chmod(0o600)
    assert run(tree, "--print-hash") == before == f"{package.source_hash()}\n"


def test_terraform_computes_the_same_hash(tree: Path) -> None:
    with (ROOT / "package.tf").open() as file:
        expressions = hcl2.load(file)["locals"][0]
    names = ("package_sources", "package_source_hash")
    folder = tree.parents[1]
    # Names that sort differently by locale or by case, and what must not count.
    for name in ("aurora_restore/B.py", "aurora_restore/a.py", "aurora_restore/a-b/c.py", "aurora_restore/a.b/c.json"):
        path = folder / "lambda_src" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("x = 'ä'\n", encoding="utf-8")
    (folder / "lambda_src/aurora_restore/notes.txt").write_text("stray")
    # The two expressions in Terraform's JSON syntax, in a root of their own: no provider is needed to evaluate them.
    (folder / "hash.tf.json").write_text(json.dumps({"locals": {name: expressions[name] for name in names}}))
    done = subprocess.run(
        ["terraform", "console"],
        cwd=folder,
        input="local.package_source_hash\n",
        env={**os.environ, "TF_CLI_ARGS": "-no-color", "CHECKPOINT_DISABLE": "1"},
        text=True,
        capture_output=True,
        check=False,
    )
    assert json.loads(done.stdout) + "\n" == run(tree, "--print-hash"), done.stderr


def refused(script: Path, *options: str | Path, **environment: str) -> str:
    """What package.py complains of."""
    done = subprocess.run(
        [sys.executable, *options[:2], script, *options[2:]],
        env={**os.environ, **environment},
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout
    assert "Traceback" not in done.stderr
    return done.stderr


def test_without_an_index_it_says_so_and_names_the_way_out(tmp_path: Path) -> None:
    nowhere = {
        "PIP_CONFIG_FILE": os.devnull,  # neither the machine's nor the user's settings
        "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
        "PIP_EXTRA_INDEX_URL": "",
        "PIP_FIND_LINKS": "",
        "PIP_NO_CACHE_DIR": "1",
        "PIP_RETRIES": "0",
        "NO_PROXY": "127.0.0.1",
    }
    complaint = refused(ROOT / "scripts/package.py", "-I", "-B", "--build-dir", tmp_path, **nowhere)
    assert "pip could not download" in complaint
    assert "lambda_package" in complaint
    assert list(tmp_path.iterdir()) == []


def test_without_pip_it_says_so_and_names_the_way_out(tmp_path: Path) -> None:
    complaint = refused(ROOT / "scripts/package.py", "-I", "-S", "--build-dir", tmp_path)
    assert "has no pip" in complaint
    assert "package_builder" in complaint
    assert "lambda_package" in complaint


def test_sources_that_changed_between_plan_and_apply_are_refused(tmp_path: Path) -> None:
    complaint = refused(ROOT / "scripts/package.py", "-I", "-B", "--build-dir", tmp_path, "0" * 64)
    assert "plan again" in complaint
    assert list(tmp_path.iterdir()) == []
