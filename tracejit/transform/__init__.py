"""Floor 3: Program -> Program derivatives."""
