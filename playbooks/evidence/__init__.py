"""The evidence pack: what it holds, what its signature covers, and how it is checked with nothing but itself."""
