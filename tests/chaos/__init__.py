"""What becomes of requests while the key server, its keys or Envoy's configuration misbehave.

Each scenario runs a real Envoy with four workers under load, prints figures, and says which
promises it found kept: `python -m chaos` from `tests/`.
"""
