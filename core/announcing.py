"""How processes tell each other that something was committed: names that two rooms share."""

from typing import Final

#: The channel on PostgreSQL on which keys are announced, each as `<flow> <key>`.
CHANNEL: Final = "athanor_doorbell"
#: What news for pages and agents is announced as, in the place of a flow and its key.
NEWS: Final = ("live-events", "all")
