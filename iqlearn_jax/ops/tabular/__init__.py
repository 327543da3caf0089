"""Exact tabular Markov decision processes: solutions and inverse problems."""
