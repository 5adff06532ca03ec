"""Mathematics and encodings: no network, no files, no clock, no threads, no logging.

Everything here is a function of its arguments. Randomness comes in as a seed, secrets
come in as bytes, and whatever a peer sent is checked before it is used.
"""
