"""The gateway: sessions of bots, and the sockets they come and go on."""
