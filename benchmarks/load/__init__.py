"""How accurate the percentiles of a load are, beside an independent generator, a closed one, and the truth.

    python -m benchmarks.load

Needs `wrk` (Debian: `apt-get install wrk`). Takes about three minutes, with a small server of its own.

The steady server answers after 5 to 25 ms, uniformly, and measures its own answers. The claim: our P50, P95 and P99 are
within 1 ms or 5 % of the server's own, and of wrk's.

The stalling server answers after 10 ms, and for 2 s of every 20 s not at all. Who arrives at any time alike meets the
stall with probability 1/10, so that P95 is 1.01 s and P99 1.81 s; for the arrivals of the seeded schedule and the
stalls that there were, the true percentiles are computed exactly (from the time that the server needs for half of its
answers, by its own clock). The claim: ours are within 1 ms or 5 % of those. wrk and Locust by itself wait for answers
before they ask again, and so meet each stall once a connection; wrk afterwards fills in what it supposes that it should
have asked. Their figures are printed, nothing is claimed of them.

The server is measured first: it is no bottleneck when it answers ten times what the loads ask for.
"""
