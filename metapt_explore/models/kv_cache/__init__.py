"""Keys and values of texts, computed once and kept."""
