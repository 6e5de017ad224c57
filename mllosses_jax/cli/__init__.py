"""The command `mllosses`, one file a sub-command; what it says and asks stands here alone.

It knows the whole package, and nothing in the package knows it.
"""
