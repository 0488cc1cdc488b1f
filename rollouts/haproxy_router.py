"""HAProxy as a rollout's router: share and salt are process variables, changed at run time without a reload."""

import shutil
from pathlib import Path
from urllib.parse import urlsplit

from processes.ports import free_port
from processes.supervised import start, wait_until_ready
from rollouts.assignment import salt_key
from rollouts.haproxy_admin import HaproxyAdmin
from rollouts.haproxy_config import READY_PATH, checked_lease, haproxy_config
from rollouts.router_process import RouterProcess
from rollouts.router_version import haproxy_version


def find_haproxy() -> str | None:
    """The haproxy program of this machine; None when it is not installed."""
    return shutil.which("haproxy") or shutil.which("haproxy", path="/usr/local/sbin:/usr/sbin:/sbin")


class HaproxyRouter(RouterProcess):
    """A running HAProxy. Its admin socket lies in a folder of its own that only this user may enter."""

    kind = "haproxy"

    def __init__(self, program: str, *, stable_url: str, candidate_url: str, salt: str, work_dir: Path) -> None:
        self.version = haproxy_version(program)
        super().__init__(candidate_url, work_dir / "haproxy.log")
        self._admin = HaproxyAdmin(self._folder / "admin.sock")
        try:
            port = free_port()
            self.url = f"http://127.0.0.1:{port}"
            config = work_dir / "haproxy.cfg"
            config.parent.mkdir(parents=True, exist_ok=True)
            config.write_text(
                haproxy_config(
                    listen=f"127.0.0.1:{port}",
                    stable=urlsplit(stable_url).netloc,
                    canary=urlsplit(candidate_url).netloc,
                    admin=self._admin.socket,
                    salt_key=salt_key(salt),
                    lease=checked_lease(self._lease.port),
                )
            )
            self._process = start("haproxy", [program, "-db", "-f", str(config)], log=self._log.path)
            wait_until_ready(self._process, self.url + READY_PATH, timeout_s=20)
        except BaseException:
            self.close()
            raise

    def set_share(self, slots: int, salt: str | None = None) -> None:
        """See ``Router``. With a new salt the share passes through 0, so that no user is hashed by half of both."""
        if salt is not None:
            self._admin.set("canary_slots", "int(0)")
            self._admin.set("salt", f"str({salt_key(salt)})")
        self._admin.set("canary_slots", f"int({slots})")
