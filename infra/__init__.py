"""Where and on what: storage, the Ray session, the demo's web server."""
