"""How often the judge of rollouts rolls an equal canary back, and how soon it finds a bad one: ``python -m
benchmarks.judge``. Prints a table and exits with 3 when a claim does not hold. All seeds are fixed.

Claimed, for a rollout of an hour each at 5 %, 20 % and 50 % with a look after every request: an equal canary is rolled
back in at most 1 % of rollouts, for error rates of 0.1 % to 5 % under an autocorrelated load and outages that both arms
share, with the default margin and, harder, with none; a canary that fails 6 % instead of 1 % at a share of 5 % is
found after at most twice Wald's log(1/alpha)/KL canary requests (median); one look over 1,000,000 requests takes less
than 200 ms. In the same run, on the same streams, other rules are re-implemented from their published formulas; they
look at the error rate alone.
"""
