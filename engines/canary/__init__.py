"""What this process measured of its own answers, by what answered, and limits for it."""
