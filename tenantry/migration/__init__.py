"""Moving people to another identity provider: they keep who they are, and what they may do.

A state machine whose every step is safe to repeat. Where it stands is read from the systems and
from a journal in a store, so whatever a run left half done the next one finishes.
"""
