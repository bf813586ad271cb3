"""How fast the system is, measured against something whose speed needs no argument."""
