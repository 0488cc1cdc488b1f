"""What turns evidence into a decision: the release plan, claims, criteria, verdicts, confidence and risk."""
