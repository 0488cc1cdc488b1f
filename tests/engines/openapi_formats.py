"""What the formats of ION's OpenAPI document mean, for Schemathesis, which loads this module."""

import base64

import schemathesis
from hypothesis import strategies as st

from engines.resonance_key import ALL_KEYS

schemathesis.openapi.format("resonance-key", st.sampled_from([str(key) for key in ALL_KEYS]))
schemathesis.openapi.format(
    "cursor", st.datetimes().map(lambda at: base64.urlsafe_b64encode(f"{at.isoformat()}+00:00 x".encode()).decode())
)
