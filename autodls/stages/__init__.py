"""What each command does: records in, a record out; nothing is printed."""
