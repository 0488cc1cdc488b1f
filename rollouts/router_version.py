"""What the programs that route call themselves, for the evidence."""

import platform
import re
import subprocess


def haproxy_version(program: str) -> str:
    """What a haproxy program calls itself."""
    said = subprocess.run([program, "-v"], capture_output=True, text=True, check=False, timeout=20).stdout
    found = re.search(r"version (\S+)", said, re.IGNORECASE)
    return f"HAProxy {found[1]}" if found else "HAProxy"


def embedded_version() -> str:
    """The embedded proxy goes by the Python that it runs on."""
    return f"embedded proxy on Python {platform.python_version()}"
