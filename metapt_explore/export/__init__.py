"""A prompt as a folder to take away: files, model card, classifying with it."""
