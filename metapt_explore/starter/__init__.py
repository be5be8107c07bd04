"""Models and texts that come inside packages, for a first run without a hub."""
