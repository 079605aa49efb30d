"""Lists and fetches a bucket by obstore alone, 32 objects at once: what `remote.py` compares an ingest with.

python benchmarks/obstore_alone.py http://HOST:PORT
"""

import asyncio
import os
import sys
from typing import Any

import obstore
from obstore.store import S3Store

BUCKET = "runs"
CONNECTIONS = 32


def store(address: str) -> Any:
    """Obstore's store of the bucket."""
    client = {"allow_http": True}
    return S3Store(BUCKET, endpoint=address, region="us-east-1", skip_signature=True, client_options=client)


def list_alone(address: str) -> list[str]:
    """The keys of the bucket, by obstore alone."""
    return [one["path"] for page in obstore.list(store(address), chunk_size=1000) for one in page]


def fetch_alone(address: str) -> None:
    """Fetch all objects, by obstore alone."""
    bucket, waiting = store(address), iter(list_alone(address))

    async def fetch_next() -> None:
        for key in waiting:
            await (await obstore.get_async(bucket, key)).bytes_async()

    async def fetch_all() -> None:
        await asyncio.gather(*(fetch_next() for _ in range(CONNECTIONS)))

    asyncio.run(fetch_all())


if __name__ == "__main__":
    fetch_alone(sys.argv[1])
    os._exit(0)  # else one of obstore's threads may still be at work, and end the process with SIGABRT
