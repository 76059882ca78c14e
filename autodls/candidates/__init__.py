"""Ways from a case to a score beside the networks, and the nested choice between them."""
