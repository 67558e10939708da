"""How late an idle event loop is on this machine: one line a second, the highest lag and the time that it was measured at."""

import asyncio
import time


async def main():
    highest, until = 0.0, time.time() + 0.25
    while True:
        asked = time.monotonic()
        await asyncio.sleep(0.02)
        highest = max(highest, time.monotonic() - asked - 0.02)
        if time.time() >= until:
            print(f"{time.time():.3f} {highest:.4f}", flush=True)
            highest, until = 0.0, time.time() + 0.25


if __name__ == "__main__":
    asyncio.run(main())
