"""Tables and queries of the cryo-EM domain."""
