"""Tasks of the cryo-EM domain."""
