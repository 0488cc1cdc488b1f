"""What became of users, metric by metric, and whether the ensemble serves them better than the router."""
