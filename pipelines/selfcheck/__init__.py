"""Check a finished run: its files, its dVAE, its prior and its pictures, a file for each."""
