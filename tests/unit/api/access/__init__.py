"""What decides on access, without a database."""
