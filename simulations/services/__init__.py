"""The legitimate services of a drill; ``simulations.workload`` runs them."""
