"""Speed against what a user could pick instead, side by side in one process (`metapt bench`)."""
