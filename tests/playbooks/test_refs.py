"""A reference names one thing, and nothing in it hides."""

from __future__ import annotations

import pytest

from playbooks.errors import InvalidInput
from playbooks.refs import parse_ref


@pytest.mark.parametrize("uri", ["aws-kms:prod/a\nb", "pkcs11:token=t;object=a%0Ab", "aws-kms:prod/a\u202eb"])
def test_a_name_with_something_unseen_is_refused(uri: str) -> None:
    """It would look like another one wherever it is shown."""
    with pytest.raises(InvalidInput, match="cannot be seen"):
        parse_ref(uri)
