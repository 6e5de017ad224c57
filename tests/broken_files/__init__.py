"""Broken files of every kind that the commands read, made anew for each run of the tests.

`python -m broken_files FOLDER` passes each to the commands that read it.
"""

NAMES = ("sea", "sun", "sand")
ROWS = 40
DIGITS = "9" * 5000
DEEP = 200_000
LOSS = "squared_hinge_loss"
