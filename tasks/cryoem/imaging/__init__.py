"""Pictures that EPU took, for people: found, read, made small and 8-bit, and kept for a while.

`files` finds them and nothing outside of the folders that are set, `reading` opens what may be
damaged, `rendering` makes a PNG, and `gallery` does all that beside the event loop.
"""
