"""What `pipelines.selfcheck` looks at, one kind of thing in a file."""
