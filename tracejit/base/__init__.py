"""Floor 0: errors, source locations, configuration, pytrees."""
