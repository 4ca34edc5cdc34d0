"""A browser without a window: follows redirects up to the client's own page."""

from __future__ import annotations

import sys

import httpx

if __name__ == "__main__":
    with httpx.Client(timeout=60, follow_redirects=True) as browser:
        answer = browser.get(sys.argv[1])
    sys.exit(answer.status_code >= 400)
