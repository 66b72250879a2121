"""The pages for people, one file each: a ``SECTION`` for the navigation, and ``router(site)``."""
