"""The speed, start-up and memory of ION Mentoring, one process on one core, with SQLite and 10,000 users.

    python -m benchmarks.engines [--users N] [--seconds S]
    python -m benchmarks.engines --soak [--minutes M]
    python -m benchmarks.engines --largest

The claims, of Phase 4 as it is served:

- it answers ``recommend/personalized`` at 500 requests a second or more (eight clients that ask without a pause),
- and with a P95 below 20 ms at 250 requests a second (Poisson arrivals; latency counts from when a request should have
  begun, so that a server that stalls cannot hide it),
- it is ready 3 s after it was started, which is when it has learnt its model from 150,000 interactions
  (the best of three starts),
- and its resident set stays within 250 MB.

Beside the wall clock stands the processor time of the server, because a busy machine takes the core away from it: what
it could answer with a core of its own is requests by processor seconds. What limits it is shown by two servers that do
less: a bare ASGI application that answers with the same bytes (the HTTP server alone), and the ensemble called without
HTTP.

``--soak`` offers 100 requests a second for ten minutes: recommendations, a comparison for every fourth and feedback for
every tenth, and in the first three minutes a model is taught every minute. The claim: memory shows no trend, which is
that the resident set of the last minute is at most 1 % above that of the fourth, when caches are full and allocators
have settled.

``--largest`` teaches a model of the most feedback that is kept, each rating of another user: what a model can grow to.
"""
