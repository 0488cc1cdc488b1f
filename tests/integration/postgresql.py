"""A throw-away PostgreSQL server on 127.0.0.1, for the tests of one session."""

import os
import shutil
import signal
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from processes.ports import free_port
from processes.supervised import Supervised, start
from processes.wait import wait_for

PASSWORD = "word-of-the-tests"


def find_commands() -> Path | None:
    """The folder of initdb and postgres: Debian keeps them off PATH."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: float(folder.parent.name))
    on_path = shutil.which("initdb")
    return next((f for f in reversed(folders) if (f / "initdb").exists()), Path(on_path).parent if on_path else None)


@dataclass
class Server:
    """A running server. ``kill`` is a crash, ``restart`` the end of all connections."""

    commands: Path
    folder: Path
    port: int
    process: Supervised | None = None

    def url(self, database: str, *, password: str = PASSWORD) -> str:
        return f"postgresql+psycopg://gonogo:{password}@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """The URL of a database that nobody has used."""
        name = f"ledger_{uuid.uuid4().hex}"
        with self._connection() as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self.url(name)

    def start(self) -> None:
        command = [str(self.commands / "postgres"), "-D", str(self.folder / "data"), "-p", str(self.port)]
        command += ["-c", "listen_addresses=127.0.0.1", "-k", str(self.folder), "-c", "autovacuum=off"]
        self.process = start("postgresql", [*_as_postgres(), *command], log=self.folder / "log")
        wait_for(self._answers, what="PostgreSQL ready", timeout_s=60)

    def kill(self) -> None:
        """End at once, without a checkpoint, as a crash does; what is committed must be in the log."""
        self._end(signal.SIGQUIT)

    def stop(self) -> None:
        self._end(signal.SIGINT)

    def _end(self, how: signal.Signals) -> None:
        assert self.process is not None
        pid_file = self.folder / "data" / "postmaster.pid"
        if self.process.running() and pid_file.exists():
            os.kill(int(pid_file.read_text().split()[0]), how)
            self.process.wait(60)
        self.process.stop()

    def _connection(self) -> psycopg.Connection:
        return psycopg.connect(self.url("postgres").replace("+psycopg", ""), autocommit=True)

    def _answers(self) -> bool:
        try:
            self._connection().close()
        except psycopg.OperationalError:
            assert self.process is not None
            assert self.process.running(), (self.folder / "log").read_text()
            return False
        return True


@contextmanager
def running_server(commands: Path) -> Iterator[Server]:
    """A new server with a password; gone, with its data, at the end."""
    with tempfile.TemporaryDirectory(prefix="gonogo-pg-") as name:
        folder = Path(name)
        (folder / "password").write_text(PASSWORD)
        if os.geteuid() == 0:
            for path in (folder, folder / "password"):
                shutil.chown(path, "postgres")
        initdb = [str(commands / "initdb"), "-D", str(folder / "data"), "--username", "gonogo", "--encoding", "UTF8"]
        initdb += ["--auth", "scram-sha-256", "--pwfile", str(folder / "password")]
        subprocess.run([*_as_postgres(), *initdb], check=True, capture_output=True, cwd=folder)
        server = Server(commands, folder, free_port())
        try:
            server.start()
            yield server
        finally:
            server.stop()


def _as_postgres() -> list[str]:
    return ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []  # it refuses to run as root
