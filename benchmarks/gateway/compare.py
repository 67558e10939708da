"""nbest's gateway beside the bare upstream, optillm and its_hub: latency, requests per second, CPU, memory.

    python benchmarks/gateway/compare.py [--peers .venv-peers] [--rounds 3] [--seconds 10] [--only nbest bare] [--out results.jsonl]

`--peers` is where optillm (0.6 GB) and its_hub (0.15 GB) are installed from PyPI, each into an environment of its own.

One client: all systems are asked in turn, request by request, so that what disturbs the machine disturbs all
alike. 32 and 128 clients: a window for each system, in a new order each round. A window's rate is all answers
by the time until the last one. Figures are medians over rounds; ratios are of the same round.
"""

import argparse
import asyncio
import json
import os
import platform
import random
import statistics
import sys
import time
from pathlib import Path

from load import in_turn, loop
from systems import PRESETS, SIZES, Stand

HOW = {
    "bare": "nothing before the upstream, which draws N",
    "nbest vote": "one upstream call, vote",
    "nbest hedged": "a greedy call and one of N-1, vote",
    "nbest calls": "N upstream calls, vote",
    "nbest judged": "one upstream call, then N judge calls at once",
    "optillm none": "passed through",
    "optillm majority": "one upstream call, majority",
    "optillm bon": "one upstream call, then N ratings one by one",
    "its_hub sc": "N upstream calls, majority",
}
VOTES = ("optillm none", "optillm majority", "its_hub sc")
JUDGED = ("optillm bon",)


async def start(stand, args):
    """(system, N) → (process, what a request says besides), of those in `args.only` and `args.beside`."""
    only = args.only
    upstream = await stand.upstream()
    routes = {("bare", n): (upstream, {"n": n}) for n in SIZES}
    if "nbest" in only:
        ours = await stand.nbest(upstream)
        for name in PRESETS:
            routes |= {(f"nbest {name}", n): (ours, {"model": f"fake@{name}{n}"}) for n in SIZES if n > 1}
        routes["nbest vote", 1] = (ours, {"model": "fake@vote1"})
    for source in args.beside:
        other = await stand.nbest(upstream, source=source)
        routes |= {(str(source), n): (other, {"model": f"fake@vote{n}"}) for n in SIZES}
    if "its_hub" in only:
        its_hub = await stand.its_hub(upstream)
        routes |= {("its_hub sc", n): (its_hub, {"budget": n}) for n in SIZES}
    if "optillm" in only:
        optillm = {n: await stand.optillm(upstream, n) for n in SIZES if n > 1}
        for n, process in optillm.items():
            routes["optillm majority", n] = (process, {"model": "majority_voting-fake", "k": n})
            routes["optillm bon", n] = (process, {"model": "bon-fake"})
        routes["optillm none", 1] = (optillm[8], {})
    return routes


def row(system, n, clients, number, seen):
    return {
        "system": system,
        "n": n,
        "clients": clients,
        "round": number,
        "answers": len(seen.latencies),
        "errors": seen.errors,
        "p10_ms": round(seen.quantile_ms(0.1), 2) if seen.latencies else None,
        "p50_ms": round(seen.median_ms, 2) if seen.latencies else None,
        "p95_ms": round(seen.quantile_ms(0.95), 2) if seen.latencies else None,
        "rps": round(seen.rps, 2) if seen.wall_s else None,
        "cpu_ms": round(seen.cpu_s / len(seen.latencies) * 1000, 3)
        if seen.cpu_s and seen.latencies
        else None,
        "rss_mb": round(seen.rss_mb, 1) if seen.rss_mb else None,
        "load_cpu_share": round(seen.load_cpu_s / seen.wall_s, 3) if seen.wall_s else None,
        "machine_load": round(os.getloadavg()[0], 1),
    }


async def measure(args, write):
    with Stand(args.peers) as stand:
        routes = await start(stand, args)
        for process, extra in routes.values():  # what is only done once
            await loop(process.port, extra, 4, count=8)
        order = random.Random(0)
        for n in args.n if args.turns else ():
            asked = {
                system: (process.port, extra) for (system, m), (process, extra) in routes.items() if m == n
            }
            seen = await in_turn(asked, rounds=args.turns, seconds_each=args.turns * 0.25)
            for system, measured in seen.items():
                write(row(system, n, 1, 0, measured))
        for number in range(args.rounds):
            for clients in args.clients:
                for system, n in order.sample(list(routes), len(routes)):
                    if n not in args.n:
                        continue
                    process, extra = routes[system, n]
                    measured = await loop(process.port, extra, clients, seconds=args.seconds, pid=process.pid)
                    write(row(system, n, clients, number, measured))


def table(rows):
    """Markdown, one line for each system, N and number of clients. Added: beside the bare upstream, at p10 and p50."""
    print(
        "\n| clients | N | system | what it does | p10 ms | p50 ms | p95 ms | added ms | requests/s | CPU ms a request |"
        " RSS MB | errors |\n|" + "---|" * 12
    )
    for clients, n in sorted({(r["clients"], r["n"]) for r in rows}):
        others = {
            r["system"]: "another nbest: one upstream call, vote" for r in rows if r["system"] not in HOW
        }
        for system, how in (HOW | others).items():
            if found := of(rows, system, n, clients):
                p10, p50, p95, rps, cpu, rss = (
                    median(rows, system, n, clients, k)
                    for k in ("p10_ms", "p50_ms", "p95_ms", "rps", "cpu_ms", "rss_mb")
                )
                bare = [median(rows, "bare", n, clients, k) for k in ("p10_ms", "p50_ms")]
                added = [
                    num(x - b, 1)
                    for x, b in zip((p10, p50), bare, strict=True)
                    if x and b and system != "bare"
                ]
                errors = sum(sum(r["errors"].values()) for r in found)
                figures = [
                    num(p10, 1),
                    num(p50, 1),
                    num(p95, 1),
                    " / ".join(added),
                    num(rps, 1),
                    num(cpu, 2),
                    num(rss, 0),
                ]
                print("| " + " | ".join(map(str, [clients, n, system, how, *figures, errors])) + " |")


def ratios(rows):
    """Requests per second beside the better peer's that does the same kind of work, round by round."""
    print("\n| clients | N | ours | the better peer | times its requests/s: median (least – most) |")
    print("|---|---|---|---|---|")
    for clients in sorted({r["clients"] for r in rows if r["clients"] > 1}):
        for n in sorted({r["n"] for r in rows}):
            for ours, peers in (
                ("nbest vote", VOTES),
                ("nbest hedged", VOTES),
                ("nbest calls", VOTES),
                ("nbest judged", JUDGED),
            ):
                by_round = {r["round"]: r["rps"] for r in of(rows, ours, n, clients)}
                theirs = {p: {r["round"]: r["rps"] for r in of(rows, p, n, clients)} for p in peers}
                theirs = {p: by for p, by in theirs.items() if by}
                if not by_round or not theirs:
                    continue
                best = max(theirs, key=lambda p: statistics.median(theirs[p].values()))
                found = [
                    by_round[k] / max(by[k] for by in theirs.values())
                    for k in by_round
                    if all(k in by for by in theirs.values())
                ]
                if found:
                    print(
                        f"| {clients} | {n} | {ours} | {best} | {statistics.median(found):.1f} ({min(found):.1f} – {max(found):.1f}) |"
                    )


def of(rows, system, n, clients):
    return [r for r in rows if (r["system"], r["n"], r["clients"]) == (system, n, clients)]


def median(rows, system, n, clients, key):
    values = [r[key] for r in of(rows, system, n, clients) if r.get(key) is not None]
    return statistics.median(values) if values else None


def num(value, digits):
    return "" if value is None else f"{value:.{digits}f}"


def main():
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--peers", type=Path, default=Path(".venv-peers"))
    ask.add_argument(
        "--only", nargs="+", default=["nbest", "optillm", "its_hub"], help="nbest, optillm, its_hub"
    )
    ask.add_argument(
        "--beside",
        type=Path,
        nargs="+",
        default=[],
        help="src folders of other commits of nbest, from git worktrees",
    )
    ask.add_argument("--n", type=int, nargs="+", default=list(SIZES))
    ask.add_argument("--clients", type=int, nargs="*", default=[32, 128], help="besides the one client")
    ask.add_argument("--turns", type=int, default=100, help="requests of one client to each system")
    ask.add_argument("--rounds", type=int, default=3)
    ask.add_argument("--seconds", type=float, default=10)
    ask.add_argument("--out", type=Path, default=None, help="a line of JSON for each window")
    ask.add_argument("--show", type=Path, default=None, help="only print the tables of such a file")
    args = ask.parse_args()
    rows = []
    if args.show:
        rows = [json.loads(line) for line in args.show.read_text().splitlines()]
    else:
        out = args.out and args.out.open("w")

        def write(found):
            rows.append(found)
            line = json.dumps(found)
            print(line, file=sys.stderr, flush=True)
            if out:
                out.write(line + "\n")
                out.flush()

        asyncio.run(measure(args, write))
    loads = [r["machine_load"] for r in rows]
    busiest = max((r["load_cpu_share"] for r in rows if r["load_cpu_share"]), default=0)
    print(
        f"{time.strftime('%Y-%m-%d')}, Python {platform.python_version()}, {os.cpu_count()} cores, load {min(loads)} to {max(loads)}; the clients took at most"
        f" {busiest:.1%} of a core"
    )
    table(rows)
    ratios(rows)


if __name__ == "__main__":
    main()
