"""The event loop that requests run in."""

import subprocess
import sys

SCRIPT = """
import asyncio, sys
from magnet_arrow.sources.remote import event_loop

async def answered_too_late():
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        print("given up", flush=True)
        raise

async def begun():
    asyncio.create_task(answered_too_late())
    await asyncio.sleep(0)

event_loop.wait_for(begun())
sys.exit(9)
"""


def test_requests_that_are_under_way_are_given_up_before_python_ends() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (9, "given up\n", "")
