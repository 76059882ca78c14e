"""What is written to disk: frozen pydantic records, file names, and the dataset table."""
