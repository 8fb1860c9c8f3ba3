"""What a survey sees of the galaxies of a catalogue: fluxes with noise, and whether they are detected."""
