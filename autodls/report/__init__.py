"""Tables, figures and the report of a study: what a reader sees."""
