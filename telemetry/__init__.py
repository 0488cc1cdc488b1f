"""Where metrics and logs come from, the alert rules made of the plan's limits, and whether the monitoring watches."""
