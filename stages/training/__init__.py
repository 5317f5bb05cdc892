"""How it is learned: one loop, its Ray Train edge, the order of the data."""
