"""Serve one release of ION Mentoring.

python -m engines.api --release phase4 --port 8004
"""

import argparse
import os
import sys

import uvicorn
from sqlalchemy.exc import SQLAlchemyError

from engines import SERVICE, VERSIONS
from engines.faults import FaultsRefused
from engines.settings import WrongSettings, read_settings
from engines.web.application import application
from engines.web.observability import log_as_json

# A turn waits at most 5 s for its session and 2 s for its text; whoever stops this server gives it 10 s.
_DRAIN_S = 8


def main() -> None:
    """Serve until SIGTERM; requests in flight are finished. Exit code 2 for settings that must not be started with."""
    parser = argparse.ArgumentParser(prog="python -m engines.api", description="Serve ION Mentoring.")
    parser.add_argument("--release", choices=sorted(VERSIONS), default=os.environ.get("ION_RELEASE", "phase4"))
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    arguments = parser.parse_args()
    log_as_json(SERVICE, VERSIONS[arguments.release])
    try:
        app = application(read_settings(arguments.release))
    except (WrongSettings, FaultsRefused, OSError, ValueError) as error:
        print(f"ion-mentoring: {error}", file=sys.stderr)
        sys.exit(2)
    except SQLAlchemyError as error:
        print(f"ion-mentoring: the database cannot be used: {str(error).splitlines()[0]}", file=sys.stderr)
        sys.exit(2)
    uvicorn.run(
        app,
        host=arguments.host,
        port=arguments.port,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # whoever asks from this machine could call himself any address
        timeout_graceful_shutdown=_DRAIN_S,
        timeout_keep_alive=30,
    )


if __name__ == "__main__":
    main()
