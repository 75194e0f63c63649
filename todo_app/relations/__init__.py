"""How tasks have to do with each other."""
