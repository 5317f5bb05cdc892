"""Export drawn pictures in the folder layouts of benchmarks, so that their scorers run on them."""
