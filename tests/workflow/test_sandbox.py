"""`python -m sandbox up` as its users meet it: a process beside theirs, stock tools, and an end that leaves nothing."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs/sandbox.md"
PATIENCE = 120.0  # for what has no other end; never a claim about speed
# The interpreter's folder comes first, as in an activated environment: `python` is the project's.
PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


def ctl(*arguments: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """`python -m sandbox …` with an environment that has nothing of AWS's but what is given."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return subprocess.run(
        [sys.executable, "-m", "sandbox", *arguments],
        cwd=ROOT, env={**clean, **(environment or {})}, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip


def until(happened: Callable[[], Any], what: str) -> Any:
    """Poll for something that will happen; its value."""
    deadline = time.monotonic() + PATIENCE
    while not (value := happened()):
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.1)
    return value


class Up:
    """A running `python -m sandbox up` whose files, all of them, lie in a folder of its own."""

    def __init__(self, command: str) -> None:
        # Not below pytest's folder, which is closed to the database servers' users.
        self.folder = Path(tempfile.mkdtemp(prefix="up-"))
        self.folder.chmod(0o711)
        self.temporary, self.state = self.folder / "t", self.folder / "s"
        self.temporary.mkdir()
        self.temporary.chmod(0o711)
        self.env_file = self.folder / "env"
        words = [sys.executable, *shlex.split(command)[1:]]
        self.process = subprocess.Popen(
            [*words, "--port", "0", "--env-file", str(self.env_file), "--state-dir", str(self.state)],
            cwd=ROOT, env={**os.environ, "TMPDIR": str(self.temporary)}, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        self.printed = ""
        while "Any other account" not in self.printed:
            line = self.process.stdout.readline()
            assert line, f"{command} ended: {self.printed}"
            self.printed += line
        shown = re.findall(r"^export (\w+)=(.*)$", self.printed, re.MULTILINE)
        self.environment = {name: shlex.split(value)[0] if value != "''" else "" for name, value in shown}
        self.url = self.environment["AWS_ENDPOINT_URL"]

    def ctl(self, *arguments: str) -> str:
        done = ctl(*arguments, environment=self.environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def python(self, script: str) -> str:
        """Run a script in a fresh process that knows the sandbox by the env file alone, whatever its shell had set."""
        shell = f". {self.env_file} && exec {sys.executable} -c {shlex.quote(script)}"
        environment = {
            "PATH": PATH, "HOME": str(self.folder), "AWS_PROFILE": "of-mine", "AWS_SESSION_TOKEN": "stale",
            "http_proxy": "http://127.0.0.1:9", "no_proxy": "example.com",
        }  # fmt: skip
        done = subprocess.run(
            ["sh", "-c", shell], cwd=self.folder, env=environment, capture_output=True, text=True, timeout=PATIENCE,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def family(self) -> dict[int, str]:
        """Every process that it started, and every other one that works in its folder."""
        listed = subprocess.run(["ps", "-Aww", "-o", "pid=,ppid=,command="], capture_output=True, text=True, check=True)
        rows = [line.split(None, 2) for line in listed.stdout.splitlines()]
        known = {self.process.pid}
        while more := {int(pid) for pid, parent, *_ in rows if int(parent) in known} - known:
            known |= more
        found = {int(row[0]): row[-1] for row in rows if int(row[0]) in known or f"{self.folder}/" in row[-1]}
        found.pop(self.process.pid, None)
        return {pid: command for pid, command in found.items() if "ps -Aww" not in command}

    def end(self, number: signal.Signals) -> None:
        """Send the signal, and see that nothing is left: no process, no temporary file, no env file."""
        family = self.family()
        assert any("evaluator" in command for command in family.values()), family
        assert any("postgres" in command or "mariadbd" in command for command in family.values()), family
        assert list(self.temporary.iterdir()) + list(self.state.iterdir())
        # A terminal's Ctrl-C goes to the whole process group, a supervisor's SIGTERM to the process.
        (os.killpg if number == signal.SIGINT else os.kill)(self.process.pid, number)
        rest, _ = self.process.communicate(timeout=PATIENCE)
        assert self.process.returncode == 0, rest
        assert "Traceback" not in rest
        # Its children are gone or about to be reaped by whoever inherits them.
        until(lambda: not [pid for pid in family if _runs(pid)] and not self.family(), "the end of its processes")
        assert list(self.temporary.iterdir()) + list(self.state.iterdir()) == []
        assert not self.env_file.exists()

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()
        shutil.rmtree(self.folder, ignore_errors=True)


def _runs(pid: int) -> bool:
    state = subprocess.run(["ps", "-o", "state=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(state.strip()) and not state.startswith("Z")


def blocks() -> list[tuple[str, str]]:
    """The shell commands of the page: heading and text."""
    heading, found = "", []
    for title, code in re.findall(r"^## ([^\n]*)$|^```sh\n(.*?)^```$", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL):
        heading = title or heading
        if code:
            found.append((heading, code))
    return found


@pytest.fixture(autouse=True)
def _no_faults_left() -> None:
    """Instead of the conftest's: the sandbox in pytest's own process has no part in this."""


@pytest.fixture(scope="module")
def up() -> Iterator[Up]:
    (_, start), *_ = blocks()
    running = Up(start)
    yield running
    running.close()


class Tour:
    """The page's commands, run in its order by one shell in a folder that looks like the project's."""

    def __init__(self, up: Up, folder: Path) -> None:
        self.folder = folder
        for name in ("sandbox", "examples"):
            (folder / name).symlink_to(ROOT / name)
        (folder / ".build").mkdir()
        configuration = ROOT / ".build/terraformrc"
        (folder / ".build/terraformrc").write_text(configuration.read_text() if configuration.exists() else "")
        shutil.copy(up.env_file, folder / ".build/sandbox.env")
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TF_"))}
        state = f"-state={folder / 'terraform.tfstate'}"
        self.environment = {
            **clean,
            "PATH": _with_aws(PATH, folder),
            # What somebody has configured here is not part of the tour.
            "AWS_CONFIG_FILE": str(folder / "none"),
            "AWS_SHARED_CREDENTIALS_FILE": str(folder / "none"),
            "PSQLRC": str(folder / "none"),
            # Terraform's working files stay out of the project.
            "TF_DATA_DIR": str(folder / "terraform"),
            "TF_CLI_ARGS": "-no-color",
            "TF_CLI_ARGS_apply": state,
            "TF_CLI_ARGS_output": state,
            "TF_IN_AUTOMATION": "1",
        }
        _, *commands = blocks()
        script = "set -euo pipefail\n" + "".join(f"echo '@@ {title}'\n{code}\n" for title, code in commands)
        done = subprocess.run(
            ["bash", "-c", script], cwd=folder, env=self.environment, capture_output=True, text=True, timeout=280,
            check=False,
        )  # fmt: skip
        self.outputs: dict[str, str] = {}
        for title, text in re.findall(r"^@@ (.*)\n((?:(?!@@ ).*\n)*)", done.stdout, re.MULTILINE):
            self.outputs[title] = self.outputs.get(title, "") + text
        assert done.returncode == 0, f"{done.stderr}\n{list(self.outputs.items())[-1]}"


def _with_aws(path: str, folder: Path) -> str:
    """The search path with an `aws` on it: the stock one where it runs, else a stand-in that reads the same words."""
    try:
        stock = subprocess.run(["aws", "--version"], env={**os.environ, "PATH": path}, capture_output=True, check=False)
    except FileNotFoundError:
        stock = None
    if stock is not None and stock.returncode == 0:
        return path
    stand_in = folder / "bin/aws"
    stand_in.parent.mkdir()
    stand_in.write_text(f'#!/bin/sh\nexec {sys.executable} {ROOT}/tests/workflow/aws_stand_in.py "$@"\n')
    stand_in.chmod(0o755)
    return f"{stand_in.parent}{os.pathsep}{path}"


@pytest.fixture(scope="module")
def tour(up: Up, tmp_path_factory: pytest.TempPathFactory) -> Tour:
    for client in ("psql", "mysql", "terraform"):
        if shutil.which(client) is None:
            pytest.skip(f"{client} is not on the path")
    return Tour(up, tmp_path_factory.mktemp("tour"))


# ---- the page


def test_the_first_look_shows_an_empty_account(tour: Tour) -> None:
    shown = tour.outputs["Start it"]
    assert "arn:aws:iam::111122223333:root" in shown
    assert "clusters: none" in shown
    assert "default=True" in shown


def test_stock_database_clients_reach_the_described_endpoints(tour: Tour) -> None:
    assert "CREATE TABLE\nINSERT 0 1\n" in tour.outputs["A database"]
    assert re.search(r"^8\.0\.", tour.outputs["A database"], re.MULTILINE)
    assert "cluster-snapshot:rds:shop-" in tour.outputs["A snapshot"]


def test_terraform_applies_the_example(tour: Tour) -> None:
    assert "Apply complete!" in tour.outputs["The module"]


def test_a_restore_can_be_followed_by_commands_and_by_apis(tour: Tour) -> None:
    shown = tour.outputs["A restore"]
    assert shown.count('"SUCCEEDED"') == 2  # the execution, the record
    assert "id=shop-restored  status=available" in shown
    assert "name=first  status=SUCCEEDED" in shown
    assert "Subject: [aurora-restore]" in shown
    assert "Aurora restore SUCCEEDED: operation first" in shown  # the text for people, not the JSON around it
    assert "AuroraRestore AuroraRestoreDuration{" in shown
    assert "AuroraRestoreDuration\t" in shown  # as CloudWatch lists it
    assert shown.count('"message":"step_started"') == 2  # the sandbox's logs, CloudWatch Logs
    assert re.search(r"^ +1 \| Harbour Blend$", shown, re.MULTILINE)


def test_faults_fail_restores(tour: Tour) -> None:
    shown = tour.outputs["Bad days"]
    assert '"operation": "CreateDBInstance"' in shown
    assert "fault 1 is planned\nfault 2 is planned\n" in shown
    assert '{"id": 1, "service": "rds", "operation": "CreateDBInstance", "error": "InsufficientDBInstanceCap' in shown
    failed = re.findall(r"^FAILED\t(ARP-[A-Z]+-\d+)$", shown, re.MULTILINE)
    assert len(failed) == 2
    assert failed[0].startswith("ARP-RESTORE-")
    assert failed[1] == "ARP-GENERAL-006"  # a timeout


def test_accounts_and_regions_do_not_mix(tour: Tour, up: Up) -> None:
    shown = tour.outputs["Other accounts, other regions"]
    assert [int(line) for line in re.findall(r"^\d+$", shown, re.MULTILINE)] == [4, 0, 0]
    assert '"arn:aws:iam::444455556666:root"' in shown
    assert "clusters: none" in shown
    assert "first" in up.ctl("messages")
    assert up.ctl("messages", "--account", "444455556666") == ""
    assert up.ctl("metrics", "--region", "eu-central-1") == ""
    assert "Subject" in up.ctl("messages", "--protocol", "sms")
    assert json.loads(up.ctl("messages", "--protocol", "lambda").split("\n\n")[1])["status"] == "SUCCEEDED"


# ---- stock SDKs in a process of their own


def test_same_names_in_several_accounts_and_regions_are_different_things(up: Up) -> None:
    """Tables, topics and real databases: each client sees its own."""
    script = """
import boto3, json, pymysql, ssl, subprocess, sys
PLACES = [("111122223333", "eu-west-2"), ("111122223333", "us-east-1"), ("777788889999", "eu-west-2")]
def client(place, service):
    return boto3.Session("AKIASANDBOX" + place[0], "sandbox", region_name=place[1]).client(service)
def advance():
    subprocess.run([sys.executable, "-m", "sandbox", "ctl", "advance", "30m"], cwd=ROOT, check=True,
                   stdout=subprocess.DEVNULL)
for number, place in enumerate(PLACES):
    client(place, "rds").create_db_cluster(DBClusterIdentifier="same", Engine="aurora-mysql", DatabaseName="own",
        MasterUsername="boss", MasterUserPassword=f"password-{number}")
    client(place, "dynamodb").create_table(TableName="same", BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}])
    client(place, "dynamodb").put_item(TableName="same", Item={"k": {"S": str(number)}})
advance()
for place in PLACES:
    client(place, "rds").create_db_instance(DBInstanceIdentifier="same", DBClusterIdentifier="same",
        Engine="aurora-mysql", DBInstanceClass="db.r6g.large")
advance()
seen = []
for number, place in enumerate(PLACES):
    cluster, = client(place, "rds").describe_db_clusters()["DBClusters"]
    items = client(place, "dynamodb").scan(TableName="same")["Items"]
    connection = pymysql.connect(host=cluster["Endpoint"], port=cluster["Port"], user=cluster["MasterUsername"],
        password=f"password-{number}", database="own", ssl=ssl.create_default_context(cadata=CA), autocommit=True)
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE mine (number INTEGER)")
        cursor.execute("INSERT INTO mine VALUES (%s)", (number,))
        cursor.execute("SELECT number FROM mine")
        seen.append([cluster["DBClusterArn"], [i["k"]["S"] for i in items], [row[0] for row in cursor.fetchall()]])
    connection.close()
    client(place, "rds").delete_db_instance(DBInstanceIdentifier="same", SkipFinalSnapshot=True)
    client(place, "rds").delete_db_cluster(DBClusterIdentifier="same", SkipFinalSnapshot=True)
print(json.dumps(seen))
"""
    seen = json.loads(up.python(f"ROOT = {str(ROOT)!r}\nCA = {up.ctl('ctl', 'ca')!r}\n{script}"))
    assert seen == [
        ["arn:aws:rds:eu-west-2:111122223333:cluster:same", ["0"], [0]],
        ["arn:aws:rds:us-east-1:111122223333:cluster:same", ["1"], [1]],
        ["arn:aws:rds:eu-west-2:777788889999:cluster:same", ["2"], [2]],
    ]


def test_what_is_not_emulated_and_who_is_not_known_are_refused(up: Up) -> None:
    script = """
import boto3
from botocore.exceptions import ClientError
def code(session, service, operation, **parameters):
    try:
        getattr(session.client(service), operation)(**parameters)
    except ClientError as error:
        print(error.response["Error"]["Code"], error.response["Error"]["Message"])
    else:
        print("answered")
known, unknown = boto3.Session(), boto3.Session("AKIAIOSFODNN7EXAMPLE", "secret")
code(known, "rds", "create_db_proxy", DBProxyName="p", EngineFamily="MYSQL", RoleArn="arn:aws:iam::111122223333:role/r",
     VpcSubnetIds=["subnet-1"])
code(known, "glue", "get_databases")
code(known, "ecs", "list_clusters")
code(known, "dynamodb", "list_tables")
code(unknown, "rds", "describe_db_clusters")
code(unknown, "dynamodb", "list_tables")
code(unknown, "s3", "list_buckets")
"""
    proxy, glue, ecs, known, rds, dynamodb, s3 = up.python(script).splitlines()
    assert proxy.startswith("NotEmulated The sandbox does not emulate rds:CreateDBProxy")
    assert glue.startswith("NotEmulated The sandbox does not emulate the service 'glue'")
    assert ecs.startswith("NotEmulated The sandbox does not emulate the service 'ecs'")
    assert known == "answered"
    assert rds.startswith("InvalidClientTokenId ")
    assert dynamodb.startswith("UnrecognizedClientException ")
    assert s3.startswith("InvalidAccessKeyId ")
    assert all("AKIASANDBOX<12-digit account id>" in refusal for refusal in (rds, dynamodb, s3))


# ---- the sandbox's own commands


def test_following_prints_what_comes_and_ends_with_ctrl_c(up: Up) -> None:
    following = subprocess.Popen(
        [sys.executable, "-m", "sandbox", "messages", "--follow", "--account", "999900001111"],
        cwd=ROOT, env={**os.environ, **up.environment}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        # What a shell starts in the background ignores it, and so would this.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    try:
        for number in ("one", "two"):
            up.python(
                "import boto3\n"
                "sns = boto3.Session('AKIASANDBOX999900001111', 'sandbox').client('sns')\n"
                f"sns.publish(TopicArn=sns.create_topic(Name='news')['TopicArn'], Message='{number}', Subject='News')"
            )
            assert following.stdout is not None
            assert [following.stdout.readline() for _ in range(5)][3] == f"{number}\n"
        following.send_signal(signal.SIGINT)
        printed, complaints = following.communicate(timeout=PATIENCE)
        assert (following.returncode, printed, complaints) == (130, "", "")
    finally:
        following.kill()
        following.communicate()


def test_a_pipe_that_closes_early_is_no_error(up: Up) -> None:
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {sys.executable} -m sandbox ctl calls | head -n 1"],
        cwd=ROOT, env={**os.environ, **up.environment}, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert json.loads(done.stdout)["service"]
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ("ctl fault rds:CreateDBInstanc --error Throttling", "rds has no operation 'CreateDBInstanc'; is it CreateDBI"),
        ("ctl fault stepfunctions:* --error Throttling", "has no service 'stepfunctions'; it has"),
        ("ctl fault rds:CreateDBInstance", "needs an error or a delay"),
        ("ctl fault --error Throttling", "say what is to fail"),
        ("ctl fault rds:* --function f --effect raise", "not of both"),
        ("ctl fault --remove 4711", "there is no fault 4711"),
        ("ctl snapshot nothing", "DBCluster nothing not found"),
        ("ctl list --region mars", "there is no region 'mars'"),
        ("ctl list --account 12", "'12' is not an account id"),
        ("ctl advance soon", "'soon' is not a duration"),
        ("ctl", "required: action"),
        ("logs nothing", "there is no log group 'nothing'"),
        ("", "required: command"),
    ],
)
def test_a_mistake_is_answered_by_one_line(up: Up, arguments: str, reason: str) -> None:
    _one_line(ctl(*arguments.split(), environment=up.environment), reason)


def _one_line(done: subprocess.CompletedProcess[str], reason: str) -> None:
    assert done.returncode in {1, 2}
    assert done.stdout == ""
    line, end = done.stderr.split("\n", 1)
    assert line.startswith("sandbox: ")
    assert reason in line
    assert end == ""


@pytest.mark.parametrize("arguments", ["ctl list", "ctl ca", "logs", "messages --follow"])
def test_without_a_sandbox_the_commands_say_so(arguments: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    _one_line(ctl(*arguments.split(), environment={"AWS_ENDPOINT_URL": url}), f"no sandbox answers at {url}")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ("--port 65536", "'65536' is not a port"),
        ("--time-scale 0", "neither a positive number nor 'jump'"),
        ("--account 4711", "'4711' is not an account id"),
        ("--region eu-west-11", "there is no region 'eu-west-11'; is it 'eu-west-1'?"),
        ("--port 0 --state-dir {file}", "cannot use {file}"),
        ("--port 0 --env-file {file}/env", "cannot write {file}/env"),
        ("--port 0 --env-file {file}", "{file} exists and is no sandbox's"),
    ],
)
def test_an_up_that_cannot_be_is_refused_by_one_line(tmp_path: Path, arguments: str, reason: str) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("mine")
    _one_line(ctl("up", *arguments.format(file=file).split()), reason.format(file=file))
    assert file.read_text() == "mine"


def test_a_port_that_is_taken_is_refused_by_one_line(up: Up) -> None:
    port = up.url.rsplit(":", 1)[1]
    _one_line(ctl("up", "--port", port), f"cannot start on port {port}: Address already in use")
    assert up.ctl("ctl", "clock")  # the one that has it goes on


# ---- the end


def test_ctrl_c_beside_another_sandbox_while_terraform_talks_to_it(up: Up, tmp_path: Path) -> None:
    second = Up("python -m sandbox up --time-scale 600")
    try:
        assert second.url != up.url
        second.ctl("ctl", "clock")
        second.python(
            "import boto3\n"
            "boto3.client('rds').create_db_cluster(DBClusterIdentifier='only-here', Engine='aurora-mysql',"
            " MasterUsername='boss', MasterUserPassword='correct-horse')"
        )
        second.ctl("ctl", "advance", "30m")
        second.python(
            "import boto3\n"
            "boto3.client('rds').create_db_instance(DBInstanceIdentifier='only-here', DBClusterIdentifier='only-here',"
            " Engine='aurora-mysql', DBInstanceClass='db.r6g.large')"
        )
        second.ctl("ctl", "advance", "30m")
        assert "only-here" in second.ctl("ctl", "list")
        assert "only-here" not in up.ctl("ctl", "list")
        _session_of_a_role(second)
        terraform = _terraform_apply(second, tmp_path)
        try:
            until(lambda: second.ctl("ctl", "calls", "--operation", "CreateRole"), "terraform's first resources")
            assert terraform.poll() is None
            second.end(signal.SIGINT)
            assert up.ctl("ctl", "clock")
        finally:
            os.killpg(terraform.pid, signal.SIGKILL)
            terraform.wait()
    finally:
        second.close()


def _session_of_a_role(up: Up) -> None:
    """Have the authorizer asked, which makes the policy evaluator's process start."""
    up.python("""
import boto3, json
trust = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Principal": {"AWS": "111122223333"},
         "Action": "sts:AssumeRole"}}
role = boto3.client("iam").create_role(RoleName="visitor", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
given = boto3.client("sts").assume_role(RoleArn=role, RoleSessionName="visit")["Credentials"]
visitor = boto3.Session(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"]).client("rds")
try:
    visitor.describe_db_clusters()
except visitor.exceptions.ClientError as error:
    assert error.response["Error"]["Code"] == "AccessDenied"
else:
    raise SystemExit("a role without a policy was let in")
""")


def _terraform_apply(up: Up, folder: Path) -> subprocess.Popen[bytes]:
    (folder / "main.tf").write_text(
        'resource "aws_iam_role" "r" {\n  count              = 400\n  name               = "role-${count.index}"\n'
        '  assume_role_policy = jsonencode({ Version = "2012-10-17", Statement = [{ Effect = "Allow",'
        ' Principal = { Service = "lambda.amazonaws.com" }, Action = "sts:AssumeRole" }] })\n}\n'
    )
    configuration = ROOT / ".build/terraformrc"
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TF_"))},
        **up.environment,
        "TF_IN_AUTOMATION": "1",
        "TMPDIR": str(up.folder),  # it is killed, and leaves its sockets: the path must be short, too
        **({"TF_CLI_CONFIG_FILE": str(configuration)} if configuration.exists() else {}),
    }
    options: Any = {"cwd": folder, "env": environment, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run(["terraform", "init", "-input=false"], check=True, timeout=PATIENCE, **options)
    command = ["terraform", "apply", "-input=false", "-auto-approve"]
    return subprocess.Popen(command, start_new_session=True, **options)


def test_sigterm_in_the_middle_of_a_restore(tour: Tour, up: Up) -> None:
    """The last test here: it ends the module's sandbox."""
    machine = "arn:aws:states:eu-west-1:111122223333:stateMachine:aurora-restore"
    up.python(
        "import boto3, json\n"
        "rds = boto3.client('rds')\n"
        "request = {'snapshot_identifier': rds.describe_db_cluster_snapshots()['DBClusterSnapshots'][-1]"
        "['DBClusterSnapshotIdentifier'], 'target_cluster_id': 'interrupted'}\n"
        f"boto3.client('stepfunctions').start_execution(stateMachineArn='{machine}', input=json.dumps(request),"
        " name='interrupted')"
    )
    until(lambda: "id=interrupted  status=" in up.ctl("ctl", "list"), "the restored cluster")
    assert re.search(r"name=interrupted  status=RUNNING", up.ctl("ctl", "list"))
    assert any("awslambdaric" in command for command in up.family().values())
    up.end(signal.SIGTERM)
