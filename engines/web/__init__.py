"""The HTTP side of ION Mentoring."""
