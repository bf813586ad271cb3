"""Veo on Vertex AI: videos by Google, paid for by the second, written to a bucket."""
