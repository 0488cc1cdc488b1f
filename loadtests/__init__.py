"""Locust users and arrivals, the soak, and the analysis of its samples."""
