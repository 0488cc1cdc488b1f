"""HAProxy's process variables, set and read over its admin socket."""

import re
import socket
from dataclasses import dataclass
from pathlib import Path

from processes.errors import ProcessError

_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class HaproxyAdmin:
    """The admin socket of a running HAProxy. Methods raise ProcessError when it does not answer."""

    socket: Path

    def set(self, variable: str, expression: str) -> None:
        """Set a process variable, to ``int(500)`` or ``str(text)``, and read it back."""
        expected = f"value=<{expression[expression.index('(') + 1 : -1]}>"
        answer = self.command(f"experimental-mode on; set var proc.{variable} {expression}; get var proc.{variable}")
        if expected not in answer:
            raise ProcessError(f"haproxy did not set {variable} to {expression}: {answer.strip()!r}")

    def get(self, variable: str) -> str:
        """The value of a process variable as text."""
        answer = self.command(f"get var proc.{variable}")
        found = re.search(r"value=<([^>]*)>", answer)
        if found is None:
            raise ProcessError(f"haproxy does not know {variable}: {answer.strip()!r}")
        return found[1]

    def command(self, command: str) -> str:
        """The answer to one line of commands."""
        try:
            with socket.socket(socket.AF_UNIX) as admin:
                admin.settimeout(_TIMEOUT_S)
                admin.connect(str(self.socket))
                admin.sendall(command.encode() + b"\n")
                parts = []
                while part := admin.recv(4096):
                    parts.append(part)
                return b"".join(parts).decode()
        except OSError as error:
            raise ProcessError(f"haproxy's admin socket {self.socket} does not answer: {error}") from error
