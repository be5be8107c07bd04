"""Rows, seconds and memory of a study, counted before it runs."""
