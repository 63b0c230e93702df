"""Floor 3: Program -> Program passes and loop nests."""
