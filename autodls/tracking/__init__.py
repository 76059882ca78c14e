"""Learning curves for other programs that show them; nothing is sent to another machine unasked."""
