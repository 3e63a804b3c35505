"""Migration of users to another identity provider, without a loss of identity or rights.

A migration is a state machine in which every step is safe to repeat. Its position is read from the
systems and from a journal in a file store. Each run completes what an earlier run left unfinished.
"""
