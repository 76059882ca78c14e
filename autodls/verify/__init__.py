"""Does everything still fit what it was derived from? The chain of hashes."""
