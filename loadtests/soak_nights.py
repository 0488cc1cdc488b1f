"""The earlier nights that a soak adds up, and how its record keeps them: their material as it was recorded."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from evidence.measurement import AttachmentContent, LeftOut
from evidence.replay import Attached, attached, attached_json
from loadtests.soak_folder import CONTROL_WINDOWS, JOURNAL, SAMPLES, WINDOWS, Material

OWN = frozenset({WINDOWS, CONTROL_WINDOWS, SAMPLES, JOURNAL})
"""The names of a record's attachments that are of its own night."""

_NIGHTS = "nights.json"


@dataclass(frozen=True)
class EarlierNight:
    """A recorded soak of one night. ``material`` is that of this night alone, whatever its record added up."""

    record_id: str
    material: Material


@dataclass(frozen=True)
class UncountedNight:
    """A recorded soak that cannot be added up, and why. ``failed``: its record is there, and says that it failed."""

    record_id: str
    why: str
    failed: bool


@dataclass(frozen=True)
class EarlierNights:
    """What a soak adds to its own night, oldest first, and what of the ledger it could not."""

    counted: Sequence[EarlierNight] = ()
    uncounted: Sequence[UncountedNight] = ()


def attachments_of(material: Material, *, control: bool) -> dict[str, bytes]:
    """The attachments of one night by their names."""
    contents = {WINDOWS: material.windows, SAMPLES: material.samples, JOURNAL: material.journal}
    return contents | ({CONTROL_WINDOWS: material.control_windows} if control else {})


def material_of(attachments: Attached, *, control: bool, prefix: str = "") -> Material:
    """The night whose attachments have names with this prefix. Raises UnrecordedError when one is missing."""
    return Material(
        windows=attached(attachments, prefix + WINDOWS),
        control_windows=attached(attachments, prefix + CONTROL_WINDOWS) if control else b"",
        samples=attached(attachments, prefix + SAMPLES),
        journal=attached(attachments, prefix + JOURNAL),
        damaged=0,
    )


def attach_nights(earlier: EarlierNights, *, control: bool) -> list[AttachmentContent]:
    """Everything that ``nights_attached`` reads again. Content that the ledger has is not kept twice."""
    index = {
        "nights": [night.record_id for night in earlier.counted],
        "left_out": [asdict(night) for night in earlier.uncounted],
    }
    content = json.dumps(index, indent=1, sort_keys=True).encode()
    kept = [
        AttachmentContent(_prefix(number) + name, "application/jsonl", content)
        for number, night in enumerate(earlier.counted, start=1)
        for name, content in attachments_of(night.material, control=control).items()
    ]
    return [AttachmentContent(_NIGHTS, "application/json", content), *kept]


def nights_attached(attachments: Attached, *, control: bool) -> EarlierNights:
    """The earlier nights of a record. Raises UnrecordedError."""
    index = attached_json(attachments, _NIGHTS)
    return EarlierNights(
        [
            EarlierNight(record_id, material_of(attachments, control=control, prefix=_prefix(number)))
            for number, record_id in enumerate(index["nights"], start=1)
        ],
        [UncountedNight(**entry) for entry in index["left_out"]],
    )


def left_out_of(earlier: EarlierNights) -> list[LeftOut]:
    """The nights that are not counted, by why."""
    return [LeftOut("earlier nights", count, why) for why, count in Counter(n.why for n in earlier.uncounted).items()]


def _prefix(number: int) -> str:
    return f"night-{number}."
