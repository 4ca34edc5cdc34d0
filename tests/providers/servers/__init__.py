"""Real authorization servers on loopback, one module each; all are a `Server`."""
