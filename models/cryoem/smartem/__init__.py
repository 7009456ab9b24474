"""What SmartEM's clients read and write, in their words."""
