"""Floor 5: dispatch and the disk cache."""
