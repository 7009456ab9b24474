"""What listens to the outside."""
