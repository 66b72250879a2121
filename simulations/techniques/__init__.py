"""Attacks of a drill, one technique a file; ``simulations.adversary`` runs them."""
