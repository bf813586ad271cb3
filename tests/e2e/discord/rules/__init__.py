"""The documented limits of what an application may send, as data."""
