"""ION Mentoring: answers as one of four personas, and learns which of them suits whom."""

SERVICE = "ion-mentoring"
VERSIONS = {"phase3": "3.3.0", "phase4": "4.0.0"}
