"""What the judge of soaks claims about its errors, beside the usual tests, on seeded series of known truth.

``python -m benchmarks.leaks`` exits with 3 when a claim does not hold. ``--runs N`` sets the runs of each family.
"""
