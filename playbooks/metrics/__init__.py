"""What is measured of an incident, from its record alone."""
