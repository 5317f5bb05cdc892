"""What things are: rows, artifacts, settings, manifests. Imports nothing of ours."""
