"""What a stage of the rollout says about its A/B test: the metrics, where outcomes come from, how they are analysed."""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from decision.quantities import MarginField, Number, Share

AbType = Literal["mean", "proportion", "ratio"]
AbRole = Literal["primary", "secondary", "guardrail"]
Direction = Literal["increase", "decrease"]
Correction = Literal["holm", "benjamini-hochberg"]

Alpha = Annotated[Share, Field(gt=0, lt=0.5)]
Power = Annotated[Share, Field(ge=0.5, lt=1)]


class AbMetric(BaseModel):
    """One metric of an A/B test, measured once per unit (usually a user).

    ``mean``: the average of ``column`` over units. ``proportion``: the share of units whose ``column`` is 1. ``ratio``:
    the sum of ``column`` over the sum of ``denominator`` (the number of rows when none is named), e.g. clicks per view.

    ``direction`` is the good one. A primary or secondary metric is to be shown better, by an estimate of at least
    ``minimum_effect``; a guardrail is to be shown not worse by ``margin``. ``baseline`` (and ``deviation`` of a mean or
    ratio, between units) is what the control is expected to show, ``expected`` what the treatment is; with them the
    sample size is computed before the start. Without ``expected`` it is the baseline moved by ``minimum_effect``.
    ``covariate`` names a column that was measured before the test began.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: AbType
    role: AbRole = "primary"
    direction: Direction = "increase"
    column: str | None = None
    denominator: str | None = None
    baseline: Number | None = None
    expected: Number | None = None
    deviation: Annotated[Number, Field(gt=0)] | None = None
    minimum_effect: MarginField | None = None
    margin: MarginField | None = None
    covariate: str | None = None

    @property
    def sign(self) -> float:
        """+1 when more is better, else -1."""
        return 1.0 if self.direction == "increase" else -1.0

    @model_validator(mode="after")
    def _holds_together(self) -> "AbMetric":
        if (self.role == "guardrail") != (self.margin is not None):
            raise ValueError("a guardrail needs a margin (the most that it may be worse), and nothing else has one")
        if self.role == "guardrail" and (self.minimum_effect is not None or self.expected is not None):
            raise ValueError("a guardrail has a margin, no minimum_effect and no expected value")
        if self.denominator is not None and self.type != "ratio":
            raise ValueError("only a ratio has a denominator")
        if self.deviation is not None and self.type == "proportion":
            raise ValueError("the deviation of a proportion follows from its baseline")
        for name, allowed in (("margin", self.margin), ("minimum_effect", self.minimum_effect)):
            if allowed is not None and not max(allowed.absolute or 0, allowed.relative or 0) > 0:
                raise ValueError(f"{name} must be above zero")
            if allowed is not None and self.type == "proportion" and allowed.absolute is None:
                raise ValueError(f"the {name} of a proportion is in percentage points, such as 0.5pp")
        if self.type == "proportion":
            for name, rate in (("baseline", self.baseline), ("expected", self.expected)):
                if rate is not None and not 0 < rate < 1:
                    raise ValueError(f"the {name} of a proportion is between 0% and 100%")
        if self.expected is not None and self.baseline is None:
            raise ValueError("expected needs a baseline to be compared with")
        if self.expected is not None and self.baseline is not None and (self.expected - self.baseline) * self.sign <= 0:
            raise ValueError(f"expected must be better than the baseline: {self.direction} is better")
        return self


class AbAnalysis(BaseModel):
    """How the metrics of a stage are analysed together. ``users_per_day``: units that the whole service sees anew."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    alpha: Alpha = 0.05
    power: Power = 0.80
    correction: Correction = "holm"
    segments: tuple[str, ...] = ()
    users_per_day: Annotated[int, Field(gt=0)] | None = None


class Outcomes(BaseModel):
    """Where the outcomes of users are read from when the stage has lasted long enough: CSV, from a file or a URL.

    ``user`` names the column of the id that the router sees in the user header. Rows whose ``time`` (ISO 8601 with its
    zone, or epoch seconds) is before the stage are left out. ``token_file`` holds the bearer key of a URL.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str = Field(alias="from", min_length=1)
    user: str = "user_id"
    time: str | None = None
    token_file: Path | None = None

    @property
    def is_url(self) -> bool:
        """Whether they are asked of a server; else they are in a file, whose path starts from the plan's folder."""
        return re.match(r"https?://", self.source) is not None

    @model_validator(mode="after")
    def _sends_keys_to_servers_alone(self) -> "Outcomes":
        if self.token_file is not None and not self.is_url:
            raise ValueError("a token_file is the key of a URL, and these outcomes come from a file")
        if "://" in self.source and not self.is_url:
            raise ValueError("expected a file, or a URL that begins with http:// or https://")
        if re.match(r"https?://[^/]*@", self.source):
            raise ValueError("a password does not belong into the plan: name a token_file")
        return self
