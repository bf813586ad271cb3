"""The REST API: what every request goes through, and the routes."""
