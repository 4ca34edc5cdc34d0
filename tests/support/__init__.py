"""The parts that the tests and the demo run the filter with: Envoy, the servers around it, tokens."""
