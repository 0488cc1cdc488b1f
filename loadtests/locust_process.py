"""The process of the load generator: alone, as master, or as worker.

python -m loadtests.locust_process                                              told all by the environment
python -m loadtests.locust_process worker --master HOST:PORT --locustfile FILE  joins a master
"""

import argparse
import logging
import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

import gevent
import locust
from locust.argument_parser import parse_options
from locust.env import Environment
from locust.util.load_locustfile import load_locustfile

from decision.quantities import parse_address
from loadtests.arrivals import ArrivalUser, journey_member
from loadtests.master import lead
from loadtests.open_model import Member, Run, Share
from loadtests.plain_users import task_member
from loadtests.settings import VARIABLE, WRONG_LOCUSTFILE, Settings, read_settings
from loadtests.worker import join_master
from loadtests.write_windows import append_window

_OPEN_FILES = 10_000


def main(arguments: list[str]) -> int:
    """Run one role; see the module. Exit code 1 when the load cannot be made, 78 when the locustfile is why."""
    logging.basicConfig(level=logging.ERROR, stream=sys.stderr)
    _allow_open_files()
    if arguments[:1] == ["worker"]:
        asked = _arguments(arguments[1:])
        host, port = parse_address(asked.master)
        return join_master(host, port, asked.locustfile, make_environment, member_maker)
    settings = read_settings(os.environ[VARIABLE])
    gevent.spawn(_show_life, Path(settings.heartbeat_file))
    with Path(settings.windows_file).open("a", encoding="utf-8") as file:
        if settings.distributed:
            return lead(settings, file)
        return _alone(settings, file)


def _arguments(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtests.locust_process worker")
    parser.add_argument("--master", required=True, help="HOST:PORT where the master waits for workers")
    parser.add_argument("--locustfile", required=True, type=lambda text: str(Path(text).resolve()))
    return parser.parse_args(arguments)


def _allow_open_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _show_life(heartbeat: Path) -> None:
    """Touch a file every second, so that a generator that hangs or was stopped is seen."""
    while True:
        heartbeat.touch()
        gevent.sleep(1.0)


def _alone(settings: Settings, file: TextIO) -> int:
    environment = make_environment(settings.locustfile, settings.url)
    environment.create_local_runner()
    run = Run(
        settings,
        Share(0, 1),
        member_maker(settings, environment),
        lambda entry: append_window(file, entry | {"workers": 1}, run.began_at),
    )
    gevent.signal_handler(signal.SIGTERM, run.drain)
    environment.events.init.fire(environment=environment, runner=environment.runner, web_ui=None)
    environment.events.test_start.fire(environment=environment)
    run.prepare()
    run.begin()
    run.follow()
    environment.events.test_stop.fire(environment=environment)
    return 0


def make_environment(locustfile: str, url: str) -> Any:
    """Locust's environment of a locustfile. Its own statistics are not fed: they grow with every unique URL."""
    if not Path(locustfile).is_file():
        raise _refused(f"{locustfile}: there is no such locustfile")
    user_classes, _shapes = load_locustfile(locustfile)
    if not user_classes:
        raise _refused(f"{locustfile}: has no user class")
    environment = Environment(
        user_classes=list(user_classes.values()),
        events=locust.events,
        host=url,
        locustfile=locustfile,
        parsed_options=parse_options(["--locustfile", locustfile, "--host", url, "--headless"]),
    )
    for user_class in environment.user_classes:
        user_class.host = url
    for name in ("log_request", "log_error"):
        setattr(environment.stats, name, lambda *_: None)
    return environment


def member_maker(settings: Settings, environment: Any) -> Callable[[Run], Member]:
    """What makes the users of the pool: of the named journey, or of an ordinary locustfile where none is named."""
    with_journeys = [c for c in environment.user_classes if issubclass(c, ArrivalUser)]
    names = ", ".join(name for user_class in with_journeys for name in user_class.journeys) or "none"
    if settings.journey is None:
        if with_journeys:
            raise _refused(f"{settings.locustfile}: {with_journeys[0].__name__} has journeys: name one of {names}")
        return task_member(environment.user_classes, environment)
    for user_class in with_journeys:
        if settings.journey in user_class.journeys:
            return journey_member(user_class, settings.journey, environment)
    raise _refused(f"{settings.locustfile}: has no journey {settings.journey!r}; it has {names}")


def _refused(why: str) -> SystemExit:
    sys.stdout.flush()  # what Locust has printed must not come after it
    print(why, file=sys.stderr, flush=True)
    return SystemExit(WRONG_LOCUSTFILE)


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # greenlets of Locust's runners would otherwise keep the process for a while
