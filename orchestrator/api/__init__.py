"""The HTTP API of a team's server. Blocking work runs in threads; only waiting happens on the event loop."""
