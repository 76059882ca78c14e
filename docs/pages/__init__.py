"""What of the site is made from the program itself: commands, records, calls, pictures; see `docs/build.py`."""
