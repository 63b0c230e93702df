"""Floor 3: staging a Python function into a Program."""
