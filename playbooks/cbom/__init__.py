"""The estate as a cryptography bill of materials (CBOM): CycloneDX 1.6 and 1.7, ECMA-424.

``writing`` makes the document, ``reading`` turns one into an estate again, ``differences`` compares two estates.
Documents are plain data here; their text and the check against the schema are in ``integrations.cyclonedx_text``.
"""
