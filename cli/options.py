"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

Json = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON instead of text.")]
Home = Annotated[
    Path,
    Parameter(name="--home", env_var="GONOGO_HOME", help="Where ledger, attachments, keys and reports are kept."),
]

DEFAULT_HOME = Path(".gonogo")
