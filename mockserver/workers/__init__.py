"""Several processes behind one port: workers answer, and a hub keeps what they share.

The hub has the script, the quotas, the objects and the journal; it answers `/__admin`, which workers hand on to it. A
worker asks the hub only for what it cannot know by itself, so that an ordinary request costs no word between processes.
"""
