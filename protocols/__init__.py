"""The protocols: roles as generators that yield effects, and the machine that steps them.

No network, no files, no clock, no threads, no randomness of its own: all of these are effects
that a driver (a node, a simulator, a test) carries out and answers.
"""
