"""Collectors that look at a system from outside, or at the files that describe it."""
