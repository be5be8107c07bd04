"""A study: its pipeline, its run, and what looks at it."""
