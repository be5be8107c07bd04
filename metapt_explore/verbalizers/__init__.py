"""From texts to templates, and from label words to classes."""
