"""Locust by itself: ten users that ask, wait for the answer and then 90 ms. The path is in the environment."""

import os

from locust import FastHttpUser, constant, task


class PlainUser(FastHttpUser):
    """A closed user."""

    wait_time = constant(0.09)

    @task
    def ask(self) -> None:
        """Ask once."""
        self.client.get(os.environ["BENCHMARK_PATH"])
