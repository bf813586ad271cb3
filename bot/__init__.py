"""Every mouth a person speaks to: the ``video-bot`` command, and the words it uses."""
