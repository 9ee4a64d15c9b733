"""Looking for people's own patterns in texts: some take longer than the universe, so it happens where it can be ended."""

import asyncio
import json
import sys
from collections.abc import Sequence

SECONDS = 3.0  # for all patterns together, with the start of the process
MOST_CHARACTERS = 8000
_CHILD = """
import json, re, sys
json.dump([re.search(pattern, text) is not None for pattern, text in json.load(sys.stdin)], sys.stdout)
"""


async def found_in(pairs: Sequence[tuple[str, str]], seconds: float = SECONDS) -> list[bool]:
    """For each (pattern, text) whether the text has it; where they take too long together, none has."""
    if not pairs:
        return []
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", "-c", _CHILD),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    cut = json.dumps([(pattern, text[:MOST_CHARACTERS]) for pattern, text in pairs])
    out = b""
    try:
        async with asyncio.timeout(seconds):
            out, _ = await child.communicate(cut.encode())
    except TimeoutError:
        pass
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    return list(json.loads(out)) if child.returncode == 0 else [False] * len(pairs)
