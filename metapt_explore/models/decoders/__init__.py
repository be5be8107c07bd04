"""Passes through decoder-only models: plain, and written by hand."""
