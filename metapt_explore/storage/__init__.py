"""Files, artifacts and the workspace: what a study leaves on disk."""
