"""A controller to be killed: ``python -m rollouts.drill_controller SPEC FOLDER SLOTS SALT``.

It does what the ticks of a rollout do with their router: make it do as told, and renew its lease; five times a second.
"""

import sys
import time
from pathlib import Path

from decision.rollout_spec import RunningRouter
from rollouts.lease import LEASE_S
from rollouts.open_running import open_running

_EVERY_S = 0.2


def main() -> None:
    """Keep the share until terminated."""
    spec, folder, slots, salt = sys.argv[1:]
    router = open_running(RunningRouter.model_validate_json(spec), Path(folder))
    while True:
        if not router.read().is_as_told(int(slots), salt):
            router.set_share(int(slots), salt)
        router.renew_lease(LEASE_S)
        time.sleep(_EVERY_S)


if __name__ == "__main__":
    main()
