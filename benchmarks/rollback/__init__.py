"""How soon real ticks take a bad candidate back, on a real HAProxy: ``python -m benchmarks.rollback``.

Sites side by side (``--sites``) have an HAProxy, two servers and users of their own, who ask 100 times a second in an
open loop. Stable fails 1 % of its requests, the candidate 6 %. Rollouts follow each other there by the command line, as
a timer calls it (``gonogo rollout start``, then ``gonogo rollout tick --every 1s``), each until its evidence is in the
ledger. Their first stage has a share of 5 % or of 50 %; their plan either has the objectives of a real plan, or none at
all, so that the judge alone must show the harm.

Claimed, for plans with objectives: from the first canary request to the last one, the median is below 45 s at 5 % and
below 10 s at 50 %, and from the decision to the last canary request it is below 500 ms (median, with either plan). Of
the judge alone the same times are printed, and nothing is claimed. Exits with 3 when a claim does not hold.
"""
