"""`athanor demo`: one simulated session from EPU's files to Athena's decisions, and its checks."""
