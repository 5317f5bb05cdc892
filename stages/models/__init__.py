"""What is learned: plain torch, no Ray, no files."""
