"""The authorization report: one view of plan, decision and evidence, rendered to text, HTML and JSON."""
