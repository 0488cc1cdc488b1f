"""What all parts of the view share."""

from pydantic import BaseModel, ConfigDict


class Part(BaseModel):
    """A part of the view: immutable, no unknown fields, no NaN or infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
