"""From volumes to one 2.5D sample a case, interpolating only what the sample shows."""
