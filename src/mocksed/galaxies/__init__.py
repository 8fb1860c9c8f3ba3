"""The galaxies of a run: drawn from mass functions, or read from the user's table."""
