"""Tiny models of every family, made once."""

from model_fixtures import backbone_of, folder_of, unmodified_of

__all__ = ["backbone_of", "folder_of", "unmodified_of"]
