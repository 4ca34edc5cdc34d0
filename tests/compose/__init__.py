"""envoy/docker-compose.yaml on a real engine: the story, and what may go wrong (`make compose`)."""
