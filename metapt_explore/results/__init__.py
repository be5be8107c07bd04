"""Tables of scores, records of studies, and where a score comes from."""
