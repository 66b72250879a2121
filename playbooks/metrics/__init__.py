"""Metrics that are honest: computed from the record alone, with bounds, and with what is not over left open."""
