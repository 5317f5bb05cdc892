"""Rows: Parquet tables, their order in training, and the data loader."""
