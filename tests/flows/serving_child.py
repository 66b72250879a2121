"""Serves the settings of argv[1] with a drill command that only writes down that it ran (run by the tests).

``python serving_child.py CONFIG MARKER``: each drill appends its scenario to MARKER.
"""

from __future__ import annotations

import sys
from pathlib import Path

from flows.serve import serve

_WRITE = "import sys; open(sys.argv[1], 'a').write(sys.argv[2] + '\\n')"

if __name__ == "__main__":
    config, marker = sys.argv[1:]
    serve(
        Path(config),
        say=lambda sentence: print(sentence, flush=True),
        until_closed=False,
        drill_command=[sys.executable, "-c", _WRITE, marker],
    )
