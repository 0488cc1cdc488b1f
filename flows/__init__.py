"""One file per flow that a person triggers or a scheduler runs: orchestration only, no maths, no SQL."""
