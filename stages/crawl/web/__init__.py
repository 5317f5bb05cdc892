"""Fetch untrusted urls from the web, within bounds and by the rules of their sites."""
