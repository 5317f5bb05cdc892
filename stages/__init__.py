"""What we do: one verb per stage."""
