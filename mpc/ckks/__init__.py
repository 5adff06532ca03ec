"""Encrypted linear scoring under CKKS (Cheon, Kim, Kim, Song 2017) with encrypted weights.

The key's owner encrypts each weight once, a holder multiplies the ciphertexts with its plaintext
feature columns, hides what the noise would tell, and returns one ciphertext a chunk of rows:

* :mod:`mpc.ckks.parameters` proves, before anything runs, range, precision and hiding;
* :mod:`mpc.ckks.noise` draws the exact integer noise that does the hiding;
* :mod:`mpc.ckks.wire` refuses bytes that are not ciphertexts of exactly the expected shape;
* :mod:`mpc.ckks.seal` is the only module that knows the library (TenSEAL and Microsoft SEAL);
* :mod:`mpc.ckks.scoring` is the method itself.
"""
