"""``python -m sandbox``: start an AWS on this machine, and look after one that runs."""

from __future__ import annotations

import argparse
import http.client
import json
import logging
import os
import re
import shlex
import signal
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urlencode, urlsplit

from sandbox import DEFAULT_MAX_SERVERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

DEFAULT_PORT = 4570
_FOLLOW_SECONDS = 1.0
_ENV_FILE_HEAD = "# Written by `python -m sandbox up`, which removes it when it ends."
_EXAMPLES = """\
examples:
  python -m sandbox up --env-file .build/sandbox.env   # then, in another terminal: . .build/sandbox.env
  python -m sandbox ctl list                           # what there is, with endpoints
  python -m sandbox ctl ca > ca.pem                    # for clients and for the module's extra_ca_pem
  python -m sandbox ctl fault rds:CreateDBInstance --error InsufficientDBInstanceCapacity
  python -m sandbox logs --follow
docs/sandbox.md walks through all of it."""
_FAULT_EXAMPLES = """\
examples:
  fault rds:RestoreDBClusterFromSnapshot --error Throttling --times 3
  fault 'dynamodb:*' --delay 30s --principal 'my-deployment-verify-restore-*'
  fault --function my-deployment-verify-restore --effect timeout
  fault                      (lists the plans)
  fault --clear"""


class CommandError(Exception):
    """Something a person can mend; the message says what."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Say what is wrong in one line, without the usage."""
        self.exit(2, f"sandbox: {message} (see {self.prog} --help)\n")


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        run: Callable[[argparse.Namespace], None] = options.run
        run(options)
    except CommandError as error:
        print(f"sandbox: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python's own flush at exit complains
        return 141
    except KeyboardInterrupt:
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m sandbox",
        description="An AWS on this machine, to try the module with.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="command")

    up = commands.add_parser("up", help="serve AWS on localhost until Ctrl-C or SIGTERM")
    up.add_argument("--port", type=_port, default=DEFAULT_PORT, help=f"0 takes a free one (default: {DEFAULT_PORT})")
    up.add_argument(
        "--time-scale",
        type=_time_scale,
        default=60.0,
        help="virtual seconds per real second, or 'jump': to the next event whenever nothing is at work (default: 60)",
    )
    up.add_argument("--state-dir", type=Path, help="folder for databases and functions (default: a temporary one)")
    up.add_argument("--env-file", type=Path, help="write the environment there, to be sourced; removed at the end")
    up.add_argument(
        "--max-servers",
        type=_servers,
        default=DEFAULT_MAX_SERVERS,
        help=f"database servers that may run at once, one for each cluster (default: {DEFAULT_MAX_SERVERS})",
    )
    up.add_argument("--no-data-plane", action="store_true", help="do not run database servers")
    up.add_argument("--account", type=_account, default="111122223333", help="account of the printed environment")
    up.add_argument("--region", default="eu-west-1", help="region of the printed environment")
    up.add_argument("-v", "--verbose", action="store_true", help="say what goes on")
    up.set_defaults(run=_up)

    logs = _scoped_command(commands, "logs", "Print what the functions and state machines logged.", _logs)
    logs.add_argument(
        "group", nargs="?", help="log group, or a function's name; wildcards allowed: '/aws/lambda/*' (default: all)"
    )
    messages = _scoped_command(commands, "messages", "Print the messages that SNS topics took.", _messages)
    messages.add_argument("--protocol", default="email", help="as a subscription of this protocol gets them: email, …")
    metrics = _scoped_command(commands, "metrics", "Print the metrics that functions wrote.", _metrics)
    for each in (logs, messages, metrics):
        each.add_argument("--follow", action="store_true", help="go on until Ctrl-C")

    control = commands.add_parser("ctl", help="snapshots, time, faults, and what there is")
    actions = control.add_subparsers(required=True, metavar="action")
    _scoped_command(actions, "list", "List what there is in an account and region.", _list)
    snapshot = _scoped_command(
        actions,
        "snapshot",
        "Take a snapshot of a cluster as AWS does by itself, nightly or by AWS Backup. (The sandbox does not.)",
        _snapshot,
    )
    snapshot.add_argument("cluster")
    snapshot.add_argument("--kind", choices=["automated", "backup"], default="automated", help="default: automated")
    _client_command(actions, "clock", "Print the virtual time.", _clock)
    advance = _client_command(actions, "advance", "Let virtual time pass.", _advance)
    advance.add_argument("duration", type=_seconds, help="90, 90s, 15m, 3h or 2d")
    _client_command(actions, "ca", "Print the certificate of the CA that signed the databases' certificates.", _ca)
    calls = _client_command(actions, "calls", "Print the API calls so far, one JSON document a line.", _calls)
    calls.add_argument("--service", help="as IAM names it: rds, states, …")
    calls.add_argument("--operation")
    calls.add_argument("--principal", help="part of the caller's ARN")
    _fault_command(actions)
    return parser


def _fault_command(actions: Any) -> None:
    fault = _client_command(
        actions, "fault", "Plan a fault for API calls or for a function; without arguments, list the plans.", _fault
    )
    fault.formatter_class = argparse.RawDescriptionHelpFormatter
    fault.epilog = _FAULT_EXAMPLES
    fault.add_argument("call", nargs="?", help="service:Operation, wildcards allowed: 'rds:CreateDB*'")
    fault.add_argument("--error", help="wire code of the error: Throttling, InvalidDBClusterStateFault, …")
    fault.add_argument("--message", default="Injected by the sandbox.", help="the error's message")
    fault.add_argument("--status", type=int, default=400, help="the error's HTTP status (default: 400)")
    fault.add_argument("--delay", type=_seconds, default=0.0, help="virtual time that the call takes: 30s, 5m")
    fault.add_argument("--principal", default="*", help="only calls of this role (name or ARN, wildcards allowed)")
    fault.add_argument("--region", default="*", help="only calls in this region (wildcards allowed)")
    fault.add_argument("--function", help="invocations of this function (wildcards allowed) instead of API calls")
    fault.add_argument(
        "--effect",
        choices=["raise", "timeout", "deny"],
        help="the function fails, never answers, or its role is refused everything",
    )
    fault.add_argument("--after", type=_count, default=0, help="skip so many matches first")
    fault.add_argument("--times", type=_count, default=1, help="matches to hit, 0 for all (default: 1)")
    fault.add_argument("--done", action="store_true", help="carry the call out, then answer with the error")
    fault.add_argument("--remove", type=_count, metavar="ID", help="take one plan back")
    fault.add_argument("--clear", action="store_true", help="take all plans back")


def _client_command(
    commands: Any, name: str, text: str, run: Callable[[argparse.Namespace], None]
) -> argparse.ArgumentParser:
    """A command that talks to a running sandbox."""
    brief = text[0].lower() + text[1:].split(". ")[0].rstrip(".")
    parser: argparse.ArgumentParser = commands.add_parser(name, help=brief, description=text)
    parser.add_argument("--url", help="the sandbox's address (default: AWS_ENDPOINT_URL, else its usual port)")
    parser.set_defaults(run=run)
    return parser


def _scoped_command(
    commands: Any, name: str, text: str, run: Callable[[argparse.Namespace], None]
) -> argparse.ArgumentParser:
    """A command about one account and region of a running sandbox."""
    parser = _client_command(commands, name, text, run)
    parser.add_argument("--account", type=_account, help="default: that of AWS_ACCESS_KEY_ID")
    parser.add_argument("--region", help="default: AWS_REGION")
    return parser


# ---- up


def _up(options: argparse.Namespace) -> None:
    try:  # late: it loads moto, and the other commands do without
        from sandbox.dataplane import DataPlaneError
        from sandbox.regions import require_region
        from sandbox.server import Sandbox
    except ModuleNotFoundError as error:
        raise CommandError(f"{error.name} is missing here; `make setup`, then use .venv/bin/python") from error

    logging.basicConfig(
        level=logging.INFO if options.verbose else logging.WARNING, format="%(levelname)s %(name)s: %(message)s"
    )
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    try:
        require_region(options.region)
        sandbox = Sandbox(
            options.port, options.time_scale, options.state_dir, not options.no_data_plane, options.max_servers
        )
        sandbox.start()
    except OSError as error:
        reason = error.strerror or error
        if error.filename is not None:
            raise CommandError(f"cannot use {error.filename}: {reason}") from error
        raise CommandError(f"cannot start on port {options.port}: {reason}; --port 0 takes a free one") from error
    except (DataPlaneError, ValueError) as error:
        raise CommandError(str(error)) from error
    with sandbox:
        lines = _export_lines(sandbox.env(options.account, options.region))
        with _env_file(options.env_file, lines):
            _print_usage(sandbox.url, lines, options)
            stop.wait()


@contextmanager
def _env_file(path: Path | None, lines: str) -> Iterator[None]:
    """Keep the environment in a file for a while; a file that is not a sandbox's is left alone."""
    if path is None:
        yield
        return
    content = f"{_ENV_FILE_HEAD}\n{lines}\n"
    try:
        if path.exists() and not path.read_text(encoding="utf-8").startswith(_ENV_FILE_HEAD):
            raise CommandError(f"{path} exists and is no sandbox's; name another file")
        path.write_text(content, encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"cannot write {path}: {getattr(error, 'strerror', None) or error}") from error
    try:
        yield
    finally:
        with suppress(OSError):  # it may be gone, and another sandbox may have taken the name over
            if path.read_text(encoding="utf-8") == content:
                path.unlink()


def _export_lines(environment: Mapping[str, str]) -> str:
    # What the shell may have of these would win over the keys and the endpoint.
    lines = [
        "unset AWS_SESSION_TOKEN AWS_PROFILE AWS_DEFAULT_PROFILE AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
        "unset AWS_USE_FIPS_ENDPOINT AWS_USE_DUALSTACK_ENDPOINT",
    ]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in environment.items()]
    return "\n".join(lines)


def _print_usage(url: str, lines: str, options: argparse.Namespace) -> None:
    pace = "jumps to the next event" if options.time_scale is None else f"runs {options.time_scale:g} times as fast"
    print(f"# The sandbox serves AWS at {url}; its time {pace}. Ctrl-C ends it.")
    print("# In another terminal, for the aws CLI, boto3 and terraform:")
    if options.env_file is not None:
        print(f"#   . {shlex.quote(str(options.env_file.resolve()))}")
    print(lines)
    print("# Any other account: AWS_ACCESS_KEY_ID=AKIASANDBOX<12 digits>. See also: python -m sandbox --help")
    sys.stdout.flush()


# ---- the commands that talk to a running sandbox


def _ask(options: argparse.Namespace, method: str, path: str, **parameters: Any) -> Any:
    url = (options.url or os.environ.get("AWS_ENDPOINT_URL") or f"http://127.0.0.1:{DEFAULT_PORT}").rstrip("/")
    if urlsplit(url).scheme not in ("http", "https"):
        raise CommandError(f"{url!r} is not a URL")
    given = {name: value for name, value in parameters.items() if value is not None}
    query = f"?{urlencode(given)}" if method != "POST" and given else ""
    request = urllib.request.Request(  # noqa: S310  the scheme was checked
        f"{url}/_sandbox/{path}{query}",
        method=method,
        data=json.dumps(given).encode() if method == "POST" else None,
        headers={"Content-Type": "application/json"} if method == "POST" else {},
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request) as response:
            return json.load(response)["result"]
    except urllib.error.HTTPError as error:
        try:
            reason = json.load(error)["error"]
        except (ValueError, KeyError, TypeError):
            reason = f"{url} is not a sandbox (HTTP {error.code})"
        raise CommandError(reason) from error
    except (ValueError, KeyError, TypeError) as error:
        raise CommandError(f"{url} is not a sandbox") from error
    except (OSError, http.client.HTTPException) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        hint = "start one with: python -m sandbox up"
        raise CommandError(f"no sandbox answers at {url} ({reason}); {hint}") from error


def _scope(options: argparse.Namespace) -> dict[str, str | None]:
    key = re.fullmatch(r"AKIASANDBOX(\d{12})", os.environ.get("AWS_ACCESS_KEY_ID", ""))
    return {
        "account": options.account or (key.group(1) if key else None),
        "region": options.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION"),
    }


def _print_new(options: argparse.Namespace, path: str, line: Callable[[Any], str], **parameters: Any) -> None:
    seen: Counter[str] = Counter()
    while True:
        found: Counter[str] = Counter()
        for entry in _ask(options, "GET", path, **_scope(options), **parameters):
            text = line(entry)
            found[text] += 1
            if found[text] > seen[text]:  # not by its place: what comes late may belong before what was printed
                print(text, flush=True)
        seen = found
        if not options.follow:
            return
        time.sleep(_FOLLOW_SECONDS)


def _logs(options: argparse.Namespace) -> None:
    _print_new(options, "logs", lambda e: f"{e['time']} {e['group']} {e['message'].rstrip()}", group=options.group)


def _messages(options: argparse.Namespace) -> None:
    def text(message: Mapping[str, Any]) -> str:
        body = _of_protocol(message["message"], options.protocol).rstrip()
        return f"{message['time']} {message['topic_arn']}\nSubject: {message['subject'] or ''}\n\n{body}\n"

    _print_new(options, "messages", text)


def _of_protocol(message: str, protocol: str) -> str:
    """Pick a protocol's text from a message of MessageStructure ``json`` (SNS:Publish); others are the text."""
    try:
        texts = json.loads(message)
    except ValueError:
        return message
    if isinstance(texts, dict) and "default" in texts and all(isinstance(text, str) for text in texts.values()):
        return str(texts.get(protocol, texts["default"]))
    return message


def _metrics(options: argparse.Namespace) -> None:
    def line(metric: Mapping[str, Any]) -> str:
        dimensions = ",".join(f"{name}={value}" for name, value in metric["dimensions"].items())
        value = f"{metric['value']:g} {metric['unit']}"
        return f"{metric['time']} {metric['namespace']} {metric['name']}{{{dimensions}}} {value}"

    _print_new(options, "metrics", line)


def _snapshot(options: argparse.Namespace) -> None:
    print(_ask(options, "POST", "snapshot", cluster=options.cluster, kind=options.kind, **_scope(options)))


def _advance(options: argparse.Namespace) -> None:
    print(_ask(options, "POST", "clock/advance", seconds=options.duration)["now"])


def _clock(options: argparse.Namespace) -> None:
    answer = _ask(options, "GET", "clock")
    print(f"{answer['now']} ({answer['mode']})")


def _ca(options: argparse.Namespace) -> None:
    print(_ask(options, "GET", "ca").rstrip())


def _list(options: argparse.Namespace) -> None:
    for heading, rows in _ask(options, "GET", "list", **_scope(options)).items():
        print(f"{heading}:{'' if rows else ' none'}")
        for row in rows:
            print("  " + "  ".join(f"{name}={value}" for name, value in row.items()))


def _calls(options: argparse.Namespace) -> None:
    wanted = {"service": options.service, "operation": options.operation, "principal": options.principal}
    for call in _ask(options, "GET", "calls", **wanted):
        print(json.dumps(call))


def _fault(options: argparse.Namespace) -> None:
    if options.clear:
        _ask(options, "DELETE", "faults")
    elif options.remove is not None:
        _ask(options, "DELETE", "faults", id=options.remove)
    elif options.call and options.function:
        raise CommandError("a fault is of an API call or of a function's invocations, not of both")
    elif options.call or options.function:
        service, _, operation = (options.call or "*:*").partition(":")
        added = _ask(
            options,
            "POST",
            "faults",
            service=service,
            operation=operation or "*",
            principal=options.principal,
            region=options.region,
            function=options.function,
            effect=options.effect,
            error=options.error,
            message=options.message,
            status=options.status,
            delay_seconds=options.delay,
            after=options.after,
            done=options.done,
            times=options.times,
        )
        print(f"fault {added['id']} is planned")
    elif options.error or options.delay or options.effect:
        raise CommandError("say what is to fail: service:Operation, or --function NAME")
    else:
        for rule in _ask(options, "GET", "faults"):
            print(json.dumps({name: value for name, value in rule.items() if value not in (None, "*", False)}))


# ---- argument types


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: 0 to 65535")
    return int(text)


def _account(text: str) -> str:
    if re.fullmatch(r"[0-9]{12}", text) is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not an account id: twelve digits")
    return text


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
    return int(text)


def _servers(text: str) -> int:
    count = _count(text)
    if count < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of servers: 1 or more")
    return count


def _time_scale(text: str) -> float | None:
    if text == "jump":
        return None
    try:
        scale = float(text)
    except ValueError:
        scale = 0.0
    if not 0 < scale < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither a positive number nor 'jump'")
    return scale


def _seconds(text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration such as 90, 15m, 3h or 2d")
    return float(match.group(1)) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}[match.group(2)]


if __name__ == "__main__":
    sys.exit(main())
