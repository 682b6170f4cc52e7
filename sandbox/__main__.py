"""``python -m sandbox``: start an AWS on this machine, and look after one that runs."""

from __future__ import annotations

import argparse
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
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DEFAULT_PORT = 4570
_FOLLOW_SECONDS = 1.0


class CommandError(Exception):
    """Something a person can mend; the message says what."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        run: Callable[[argparse.Namespace], None] = options.run
        run(options)
    except CommandError as error:
        print(f"sandbox: {error}", file=sys.stderr)
        return 1
    except (BrokenPipeError, KeyboardInterrupt):
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sandbox", description="An embedded AWS to try the module with.")
    commands = parser.add_subparsers(required=True, metavar="command")

    up = commands.add_parser("up", help="serve AWS on localhost until Ctrl-C or SIGTERM")
    up.add_argument("--port", type=int, default=DEFAULT_PORT, help=f"0 takes a free one (default: {DEFAULT_PORT})")
    up.add_argument(
        "--time-scale",
        type=_time_scale,
        default=60.0,
        help="virtual seconds per real second, or 'jump': to the next event whenever nothing is at work (default: 60)",
    )
    up.add_argument("--state-dir", type=Path, help="folder for databases and functions (default: a temporary one)")
    up.add_argument("--env-file", type=Path, help="write the environment there, to be sourced; removed at the end")
    up.add_argument("--no-data-plane", action="store_true", help="do not run database servers")
    up.add_argument("--account", default="111122223333", help="account of the printed environment")
    up.add_argument("--region", default="eu-west-1", help="region of the printed environment")
    up.add_argument("-v", "--verbose", action="store_true", help="say what goes on")
    up.set_defaults(run=_up)

    logs = _client_command(commands, "logs", "print what the functions and state machines logged", _logs)
    logs.add_argument("group", nargs="?", help="log group (default: all)")
    logs.add_argument("--follow", action="store_true", help="go on until Ctrl-C")
    messages = _client_command(commands, "messages", "print the messages that SNS topics took", _messages)
    messages.add_argument("--follow", action="store_true", help="go on until Ctrl-C")
    metrics = _client_command(commands, "metrics", "print the metrics that functions wrote", _metrics)
    metrics.add_argument("--follow", action="store_true", help="go on until Ctrl-C")

    control = commands.add_parser("ctl", help="snapshots, time, faults, and what runs")
    actions = control.add_subparsers(required=True, metavar="action")
    snapshot = _client_command(
        actions, "snapshot", "take an automated snapshot of a cluster, as AWS does nightly", _snapshot
    )
    snapshot.add_argument("cluster")
    advance = _client_command(actions, "advance", "let virtual time pass", _advance)
    advance.add_argument("duration", type=_seconds, help="90, 90s, 15m, 3h or 2d")
    _client_command(actions, "clock", "print the virtual time", _clock)
    _client_command(actions, "list", "list what there is in an account and region", _list)
    calls = _client_command(actions, "calls", "print the API calls so far, one JSON document a line", _calls)
    calls.add_argument("--service")
    calls.add_argument("--operation")
    calls.add_argument("--principal", help="part of the caller's ARN")
    _fault_command(actions)
    return parser


def _fault_command(actions: Any) -> None:
    fault = _client_command(
        actions, "fault", "plan a fault for API calls or for a function; without arguments: list the plans", _fault
    )
    fault.add_argument("call", nargs="?", help="service:Operation, wildcards allowed: rds:CreateDB*")
    fault.add_argument("--error", help="wire code of the error: Throttling, InvalidDBClusterStateFault, …")
    fault.add_argument("--message", default="Injected by the sandbox.")
    fault.add_argument("--status", type=int, default=400, help="HTTP status (default: 400)")
    fault.add_argument("--delay", type=_seconds, default=0.0, help="virtual time that the call takes: 30s, 5m")
    fault.add_argument("--principal", default="*", help="only calls of this role name or ARN")
    fault.add_argument("--function", help="invocations of this function instead of API calls")
    fault.add_argument("--effect", choices=["raise", "timeout", "deny"], help="what happens to the function")
    fault.add_argument("--after", type=int, default=0, help="skip so many matches first")
    fault.add_argument("--times", type=int, default=1, help="matches to hit, 0 for all (default: 1)")
    fault.add_argument("--done", action="store_true", help="carry the call out, then answer with the error")
    fault.add_argument("--remove", type=int, metavar="ID", help="take one plan back")
    fault.add_argument("--clear", action="store_true", help="take all plans back")


def _client_command(
    commands: Any, name: str, text: str, run: Callable[[argparse.Namespace], None]
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=f"{text.capitalize()}.")
    parser.add_argument("--url", help="the sandbox's address (default: AWS_ENDPOINT_URL, else its usual port)")
    parser.add_argument("--account", help="default: that of AWS_ACCESS_KEY_ID")
    parser.add_argument("--region", help="default: AWS_REGION")
    parser.set_defaults(run=run)
    return parser


# ---- up


def _up(options: argparse.Namespace) -> None:
    from sandbox.server import Sandbox  # late: it loads moto, and the other commands do without

    logging.basicConfig(
        level=logging.INFO if options.verbose else logging.WARNING, format="%(levelname)s %(name)s: %(message)s"
    )
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    try:
        sandbox = Sandbox(options.port, options.time_scale, options.state_dir, not options.no_data_plane)
        sandbox.start()
    except OSError as error:
        raise CommandError(f"cannot start on port {options.port}: {error.strerror or error}") from error
    with sandbox:
        lines = _export_lines(sandbox.env(options.account, options.region))
        try:
            if options.env_file is not None:
                options.env_file.write_text(lines + "\n", encoding="utf-8")
            _print_usage(sandbox.url, lines, options)
            stop.wait()
        finally:
            if options.env_file is not None:
                options.env_file.unlink(missing_ok=True)


def _export_lines(environment: Mapping[str, str]) -> str:
    # A session token or a profile of the shell's would win over these keys.
    lines = ["unset AWS_SESSION_TOKEN AWS_PROFILE"]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in environment.items()]
    return "\n".join(lines)


def _print_usage(url: str, lines: str, options: argparse.Namespace) -> None:
    pace = "jumps to the next event" if options.time_scale is None else f"runs {options.time_scale:g} times as fast"
    print(f"# The sandbox serves AWS at {url}; its time {pace}. Ctrl-C ends it.")
    print("# In another terminal, for the aws CLI, boto3 and terraform:")
    if options.env_file is not None:
        print(f"#   source {shlex.quote(str(options.env_file))}")
    print(lines)
    print("# Any other account: AWS_ACCESS_KEY_ID=AKIASANDBOX<12 digits>. See also: python -m sandbox ctl --help")
    sys.stdout.flush()


# ---- the commands that talk to a running sandbox


def _ask(options: argparse.Namespace, method: str, path: str, **parameters: Any) -> Any:
    url = (options.url or os.environ.get("AWS_ENDPOINT_URL") or f"http://127.0.0.1:{DEFAULT_PORT}").rstrip("/")
    if urlsplit(url).scheme not in ("http", "https"):
        raise CommandError(f"{url!r} is not a URL")
    key = re.fullmatch(r"AKIASANDBOX(\d{12})", os.environ.get("AWS_ACCESS_KEY_ID", ""))
    account = options.account or (key.group(1) if key else None)
    region = options.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    given = {"account": account, "region": region} if path in ("list", "logs", "snapshot") else {}
    given = {name: value for name, value in {**given, **parameters}.items() if value is not None}
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
        except (ValueError, KeyError):
            reason = f"{url} is not a sandbox (HTTP {error.code})"
        raise CommandError(reason) from error
    except urllib.error.URLError as error:
        hint = "start one with: python -m sandbox up"
        raise CommandError(f"no sandbox answers at {url} ({error.reason}); {hint}") from error


def _print_new(options: argparse.Namespace, path: str, line: Callable[[Any], str], **parameters: Any) -> None:
    seen = 0
    while True:
        entries = _ask(options, "GET", path, **parameters)
        for entry in entries[seen:]:
            print(line(entry), flush=True)
        seen = len(entries)
        if not options.follow:
            return
        time.sleep(_FOLLOW_SECONDS)


def _logs(options: argparse.Namespace) -> None:
    _print_new(options, "logs", lambda e: f"{e['time']} {e['group']} {e['message'].rstrip()}", group=options.group)


def _messages(options: argparse.Namespace) -> None:
    _print_new(
        options,
        "messages",
        lambda m: f"{m['time']} {m['topic_arn']}\nSubject: {m['subject'] or ''}\n\n{m['message']}\n",
    )


def _metrics(options: argparse.Namespace) -> None:
    def line(metric: Mapping[str, Any]) -> str:
        dimensions = ",".join(f"{name}={value}" for name, value in metric["dimensions"].items())
        value = f"{metric['value']:g} {metric['unit']}"
        return f"{metric['time']} {metric['namespace']} {metric['name']}{{{dimensions}}} {value}"

    _print_new(options, "metrics", line)


def _snapshot(options: argparse.Namespace) -> None:
    print(_ask(options, "POST", "snapshot", cluster=options.cluster))


def _advance(options: argparse.Namespace) -> None:
    print(_ask(options, "POST", "clock/advance", seconds=options.duration)["now"])


def _clock(options: argparse.Namespace) -> None:
    answer = _ask(options, "GET", "clock")
    print(f"{answer['now']} ({answer['mode']})")


def _list(options: argparse.Namespace) -> None:
    for heading, rows in _ask(options, "GET", "list").items():
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
    elif options.call or options.function:
        service, _, operation = (options.call or "*:*").partition(":")
        added = _ask(
            options,
            "POST",
            "faults",
            service=service,
            operation=operation or "*",
            principal=options.principal,
            function=options.function,
            effect=options.effect,
            error=options.error,
            message=options.message,
            status=options.status,
            delay_seconds=options.delay,
            after=options.after,
            done=options.done,
            # A fault without "times" hits once; null, which _ask leaves out, cannot say "for ever".
            times=options.times or sys.maxsize,
        )
        print(f"fault {added['id']} is planned")
    else:
        for rule in _ask(options, "GET", "faults"):
            print(json.dumps({name: value for name, value in rule.items() if value not in (None, "*", False)}))


# ---- argument types


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
