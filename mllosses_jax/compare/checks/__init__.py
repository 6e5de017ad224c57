"""What a reader of a comparison should know before trusting it: findings with stable codes.

- `finding`: what a finding holds.
"""
