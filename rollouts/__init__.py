"""Staged rollout: assignment of users, traffic routers, the judge of requests, triggers, stages and rollback."""
