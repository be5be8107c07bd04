"""Auxiliary tasks out of clusters: what pre-training tells apart."""
