"""Requests to the page's server, and what its answers say."""

import json

import httpx


def post(address, body, **headers):
    """Send bytes, or a request; return status, error or events, and headers."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"content-type": "application/json"} | headers
    return httpx.post(f"{address}/draw", content=data, headers=headers, timeout=60)


def events(answer):
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.text.splitlines()]


def refused(answer, status):
    """Return the sentence."""
    assert answer.status_code == status, answer.text
    sentence = answer.json()["error"]
    assert "\n" not in sentence
    assert len(sentence) < 400
    return sentence
