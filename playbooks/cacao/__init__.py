"""CACAO Security Playbooks 2.0 (OASIS): our playbooks written for others, and others' read strictly.

Nothing that a document says is ever run: it becomes a playbook of ours, or an error.
"""

from playbooks.cacao.exporting import export
from playbooks.cacao.importing import Imported, import_
from playbooks.cacao.strict_json import MAX_BYTES

__all__ = ["MAX_BYTES", "Imported", "export", "import_"]
