"""Floor 2: the primitives, one entry each."""
