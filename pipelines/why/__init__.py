"""Explain what happened to a row of the crawl."""
