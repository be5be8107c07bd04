"""Taking a prompt away: a folder that holds it with all that is needed to use it, and using such a folder."""
