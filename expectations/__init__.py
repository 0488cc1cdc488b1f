"""Data quality: Great Expectations suites as code, one module per dataset, and their runner."""

import os

# Before Great Expectations is imported: it sends usage statistics otherwise.
os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
os.environ.setdefault("DO_NOT_TRACK", "1")
