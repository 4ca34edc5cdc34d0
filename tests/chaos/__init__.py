"""What the filter promises of keys, put to the test under load: `make chaos`."""
