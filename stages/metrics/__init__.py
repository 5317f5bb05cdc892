"""Metrics of pictures and captions: pure functions over arrays of features."""
