#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Four processes query one database at once, through Hugelite and through stock SQLite.

    examples/readers.py DATABASE
    examples/readers.py DATABASE COMPRESSED
    examples/readers.py DATABASE COMPRESSED URL

Prints for each reader its query, the time and the private memory; then what the
shared cache did for them; it fails when the two ways do not give the same rows.
With COMPRESSED, which hugelite pack made of DATABASE, these are the two ways, both through
Hugelite.  With a URL, where COMPRESSED is served, COMPRESSED and the URL are.
Takes from the environment HUGELITE (the program, else from PATH), HUGELITE_SO (the
extension), HUGELITE_QUERY (the C program query.c, else one more hugelite sql) and
HUGELITE_POOL.  A database made by packages.py is asked questions about packages,
any other about its largest tables.  It may be compressed itself (x.db.zst), with the plain one
(x.db) beside it for stock SQLite to read.
"""

import json
import os
import shlex
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

ROUNDS = 3              # of which the best time counts
DEADLINE = 900          # seconds for one round
HERE = os.path.dirname(os.path.abspath(__file__))

PACKAGE_QUERIES = [
    ("which packages do most others need?", """
        SELECT target, count(DISTINCT package) FROM depends
        WHERE kind IN ('Depends', 'Pre-Depends')
        GROUP BY target ORDER BY 2 DESC LIMIT 3"""),
    ("which metapackage pulls in the most?", """
        WITH RECURSIVE needs(root, id) AS (
            SELECT id, id FROM package WHERE section = 'metapackages'
            UNION
            SELECT root, p.id FROM needs
            JOIN depends d ON d.package = needs.id AND d.kind = 'Depends'
            JOIN package p ON p.name = d.target)
        SELECT r.name, count(*) FROM needs JOIN package r ON r.id = root
        GROUP BY root ORDER BY 2 DESC LIMIT 3"""),
    ("what do descriptions speak of?", """
        WITH word(w) AS (VALUES ('database'), ('game'), ('library'), ('python'), ('server'),
            ('simple'), ('debug'), ('documentation'), ('editor'), ('fast'))
        SELECT w, (SELECT count(*) FROM package WHERE instr(description, w)) AS n
        FROM word ORDER BY n DESC LIMIT 3"""),
    ("200,000 packages looked up at random", """
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200000)
        SELECT count(*) || ' found, on average', printf('%.1f MB installed',
            avg(p.installed_bytes) / 1e6)
        FROM n JOIN (SELECT max(id) AS last FROM package)
        JOIN package p ON p.id = 1 + i * 2654435761 % last"""),
]

STOCK_PYTHON = """
import sqlite3, sys
for row in sqlite3.connect(sys.argv[1], uri=True).execute(sys.argv[2]):
    print(*row, sep="|")
"""


def fail(message):
    print(f"readers.py: {message}", file=sys.stderr)
    sys.exit(1)


def uri(path, **parameters):
    query = "&".join(f"{key}={value}" for key, value in parameters.items())
    return "file:" + urllib.parse.quote(os.path.abspath(path)) + "?" + query


def readable_by_stock(path):
    """The database itself; of a compressed one, its plain twin."""
    with open(path, "rb") as database:
        header = database.read(20)
    if header[:4] == b"\x28\xb5\x2f\xfd" and path.endswith(".zst"):
        twin = path[:-len(".zst")]
        if not os.path.exists(twin):
            fail(f"{path}: stock SQLite cannot read it; make the plain one too: "
                 f"zstd -d {shlex.quote(path)} -o {shlex.quote(twin)}")
        return twin
    if header[18:] == b"\2\2":
        fail(f"{path}: in WAL mode, which is left to SQLite itself; take a copy that is not: "
             "sqlite3 DB \"VACUUM INTO 'copy.db'\"")
    return path


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


def queries_for(path):
    """Four (question, SQL) that suit the database."""
    db = sqlite3.connect(uri(path, mode="ro"), uri=True)
    names = [row[0] for row in db.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%'"
        " ESCAPE '\\' AND sql NOT LIKE 'CREATE VIRTUAL%' ORDER BY name")]
    columns = [row[1] for row in db.execute("PRAGMA table_info(depends)")]
    if {"package", "maintainer"} <= set(names) and columns[:3] == ["package", "kind", "target"]:
        db.close()
        return PACKAGE_QUERIES
    tables = []
    for name in names:
        try:            # cheap, unlike count(*); a WITHOUT ROWID table has none
            last = db.execute(f"SELECT max(rowid) FROM {quoted(name)}").fetchone()[0]
        except sqlite3.OperationalError:
            continue
        tables.append((last if isinstance(last, int) else 0, name))
    db.close()
    if not tables:
        fail(f"{path}: no table with rows to query")
    tables.sort(reverse=True)
    last, biggest = tables[0]
    second = tables[1 % len(tables)][1]
    return [
        (f"how many rows has {biggest}?", f"SELECT count(*) FROM {quoted(biggest)}"),
        (f"how many rows has {second}?", f"SELECT count(*) FROM {quoted(second)}"),
        ("what is in the schema?",
         "SELECT type, count(*) FROM sqlite_master GROUP BY type ORDER BY 2 DESC"),
        (f"10,000 rows here and there in {biggest}", f"""
            WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)
            SELECT count(*) FROM n JOIN {quoted(biggest)} AS t
            ON t.rowid = 1 + i * 2654435761 % {max(last, 1)}"""),
    ]


def can_load_extensions():
    return hasattr(sqlite3.Connection, "enable_load_extension")


class Reader:
    """One of the four: how it is started in each of the ways, and what was measured."""

    def __init__(self, name, question, sql, commands):
        self.name, self.question = name, question
        self.commands = {system: [*command, sql.strip()] for system, command in commands.items()}
        self.times = {system: [] for system in commands}
        self.private = dict.fromkeys(commands, 0)
        self.rows = None

    def start(self, system):
        self.system = system
        self.out, self.err = tempfile.TemporaryFile(), tempfile.TemporaryFile()
        started = time.monotonic()
        self.process = subprocess.Popen(self.commands[system], stdin=subprocess.DEVNULL,
                                        stdout=self.out, stderr=self.err)

        def wait():
            self.process.wait()
            self.elapsed = time.monotonic() - started
        self.waiter = threading.Thread(target=wait, daemon=True)
        self.waiter.start()

    def sample(self):
        """Memory that is this process's own; it is gone at the end, so look now and then."""
        try:
            with open(f"/proc/{self.process.pid}/smaps_rollup") as rollup:
                for line in rollup:
                    if line.startswith("Anonymous:"):
                        kib = int(line.split()[1])
                        self.private[self.system] = max(self.private[self.system], kib * 1024)
        except OSError:
            pass            # ended meanwhile

    def finish(self):
        self.waiter.join()
        self.out.seek(0)
        self.err.seek(0)
        rows, complaint = self.out.read().decode(errors="replace"), self.err.read().decode(
            errors="replace").strip()
        self.out.close()
        self.err.close()
        if self.process.returncode != 0:
            fail(f"{self.name} ({self.system}) ended with status {self.process.returncode}:\n"
                 f"{complaint or rows}")
        self.times[self.system].append(self.elapsed)
        if self.rows is None:
            self.rows = rows
        if self.rows != rows:
            fail(f"{self.name}: {self.system} gave other rows than before:\n"
                 f"{self.rows}---\n{rows}")


def run(readers, system):
    """All at once, until the last one is done."""
    deadline = time.monotonic() + DEADLINE
    try:
        for reader in readers:
            reader.start(system)
        while any(reader.waiter.is_alive() for reader in readers):
            for reader in readers:
                if reader.waiter.is_alive():
                    reader.sample()
            if time.monotonic() > deadline:
                fail(f"not finished after {DEADLINE} seconds")
            time.sleep(0.01)
        for reader in readers:
            reader.finish()
    finally:
        for reader in readers:
            if hasattr(reader, "process") and reader.process.poll() is None:
                reader.process.kill()
                reader.process.wait()


COUNTERS = ("resident_bytes", "fills", "early_reads", "source_bytes", "frames_decoded", "evictions",
            "requests")


def stat(hugelite, path):
    """The pool, and the counters of all versions of this database in it."""
    done = subprocess.run([hugelite, "stat", "--json"], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, check=False)
    total = dict.fromkeys(("bytes", *COUNTERS), 0)
    if done.returncode != 0:        # no pool yet
        return {}, total
    answer = json.loads(done.stdout)
    for volume in answer["volumes"]:
        if volume["source"] == path:
            total["bytes"] = volume["bytes"]
            for counter in COUNTERS:
                total[counter] += volume[counter]
    return answer["pool"], total


def forget(hugelite, path):
    """Neither in the cache nor, of a remote one, on the disk; it need not have been there."""
    for command in ["evict"] + ["rm"] * ("://" in path):
        subprocess.run([hugelite, command, path], stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, check=False)


def run_cold(hugelite, readers, system, path):
    """With nothing of path in the cache.  Returns the pool, and what this did to the counters."""
    forget(hugelite, path)
    _, before = stat(hugelite, path)
    run(readers, system)
    pool, after = stat(hugelite, path)
    # What is read only once or twice, from far away, need not be filled.
    if after["fills"] == before["fills"] and after["early_reads"] == before["early_reads"]:
        fail("the readers neither filled nor read anything: they did not go through Hugelite")
    return pool, {**after, **{key: after[key] - before[key] for key in COUNTERS[1:]}}


def megabytes(count):
    return f"{count / 1e6:,.1f} MB"


def seconds(count):
    return f"{count:.2f} s" if count < 100 else f"{count:.0f} s"


def print_table(rows):
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for number, row in enumerate(rows):
        line = "  ".join(cell.ljust(width) if i < 2 else cell.rjust(width)
                         for i, (cell, width) in enumerate(zip(row, widths)))
        if number == 0 and sys.stdout.isatty():
            line = f"\033[1m{line}\033[0m"
        print("  " + line.rstrip())


def first_and_again(reader, system):
    first, *again = reader.times[system]
    return seconds(first), seconds(min(again))


# The examples show how a program of one's own does it.
def through_hugelite(hugelite, path):
    """Four (name, command), to which the SQL is added."""
    ways = [
        ("sqlite3 shell", ["bash", os.path.join(HERE, "query.sh"), path]),
        ("Python's sqlite3", [sys.executable, os.path.join(HERE, "query.py"), path]),
        ("hugelite sql", [hugelite, "sql", path]),
    ]
    program = os.environ.get("HUGELITE_QUERY")
    ways.append(("C program", [program, path]) if program else ways[-1])
    if not can_load_extensions():
        ways[1] = ways[0]
    return ways


def through_stock(path):
    """For each of these the nearest program without Hugelite."""
    name = uri(path, mode="ro")
    shell = ["sqlite3", "-batch", name]
    python = [sys.executable, "-c", STOCK_PYTHON, name]
    return [shell, python if can_load_extensions() else shell, shell, shell]


def compare_with_stock(hugelite, path, plain, queries):
    readers = [Reader(name, *query, {"hugelite": command, "stock": stock})
               for (name, command), stock, query in zip(
                   through_hugelite(hugelite, path), through_stock(plain), queries)]
    pool, volume = run_cold(hugelite, readers, "hugelite", path)
    for reader in readers:      # who fills has a buffer of a chunk: not what a reader costs
        reader.filling = reader.private["hugelite"]
        reader.private["hugelite"] = 0
    for _ in range(ROUNDS):
        run(readers, "stock")
        run(readers, "hugelite")

    rows = [("reader", "what it asked", "first", "again", "stock", "private", "stock")]
    for reader in readers:
        rows.append((reader.name, reader.question, *first_and_again(reader, "hugelite"),
                     seconds(min(reader.times["stock"])), megabytes(reader.private["hugelite"]),
                     megabytes(reader.private["stock"])))
    filling = max(reader.filling - reader.private["hugelite"] for reader in readers)
    print("Four processes at once over one cache, and the same four with stock SQLite:\n")
    print_table(rows)
    print(f"""
  first    with an empty cache         again    best of {ROUNDS}, the cache is warm
  stock    the same without Hugelite, SQLite as it comes, the file in the kernel's page cache
  private  memory of this process alone, at its highest; filling the cache took up to
           {megabytes(max(filling, 0))} more
""")
    width = max(len(reader.question) for reader in readers)
    for reader in readers:
        found = ", ".join(line.replace("|", " ") for line in reader.rows.splitlines())
        print(f"  {reader.question:{width}}  {found}")
    kind = {"hugetlb": "huge pages of 2 MiB", "shmem": "small pages (tmpfs)"}[pool["pages"]]
    print(f"""
The shared cache: {pool["dir"]}, on {kind}
  {megabytes(volume["resident_bytes"])} resident, of {megabytes(pool["budget_bytes"])} it may use
  {volume["fills"]:,} chunks of 2 MiB filled; the four together read \
{megabytes(volume["source_bytes"])} of the file's {megabytes(os.path.getsize(path))}""")


def count_frames(path):
    """By the last nine bytes of a file in the Zstandard seekable format."""
    with open(path, "rb") as file:
        file.seek(-9, os.SEEK_END)
        frames, _, magic = struct.unpack("<IBI", file.read())
    if magic != 0x8F92EAB1:
        fail(f"{path}: not as hugelite pack makes it")
    return frames


def run_both(hugelite, queries, ways):
    """The four over two forms of one database, in turns, so that what else the machine does
    falls on both; but in a cache with too little room one would push out the other.
    Returns the readers, and what the first, cold run of each did to the counters."""
    (first, one), (second, other) = ways.items()
    readers = [Reader(name, *query, {first: command, second: other_command})
               for (name, command), (_, other_command), query in zip(
                   through_hugelite(hugelite, one), through_hugelite(hugelite, other), queries)]
    pool, volume = stat(hugelite, one)
    room = pool.get("budget_bytes", 0) >= 2 * volume["bytes"]
    did = {}
    for systems in [(first, second)] if room else [(first,), (second,)]:
        if not room:
            forget(hugelite, one)
        for system in systems:
            _, did[system] = run_cold(hugelite, readers, system, ways[system])
        for _ in range(ROUNDS):
            for system in systems:
                run(readers, system)
    return readers, did


def print_both(readers, ways, labels):
    rows = [("reader", "what it asked", *labels)]
    for reader in readers:
        rows.append((reader.name, reader.question,
                     *(cell for way in ways for cell in first_and_again(reader, way))))
    print_table(rows)


def compare_with_compressed(hugelite, plain, packed, queries):
    frames = count_frames(packed)
    readers, did = run_both(hugelite, queries, {"plain": plain, "packed": packed})
    size, whole = os.path.getsize(packed), os.path.getsize(plain)
    print(f"""The same four over {os.path.basename(packed)}, {megabytes(size)} in place of \
{megabytes(whole)} ({whole / size:.1f} times smaller),
and over the plain one again; both give the same rows:
""")
    print_both(readers, ("packed", "plain"), ("first", "again", "plain: first", "again"))
    print(f"""
  {frames:,} frames of Zstandard are in it; the four together, with an empty cache, decoded \
{did["packed"]["frames_decoded"]:,}
  and read {megabytes(did["packed"]["source_bytes"])}""")


def compare_with_remote(hugelite, packed, url, queries):
    readers, did = run_both(hugelite, queries, {"packed": packed, "remote": url})
    print(f"""The same four over {url},
and over the compressed file on this disk again; both give the same rows:
""")
    print_both(readers, ("remote", "packed"), ("first", "again", "file: first", "again"))
    size = os.path.getsize(packed)
    print(f"""
  the four together, with an empty cache, sent {did["remote"]["requests"]:,} requests and fetched \
{megabytes(did["remote"]["source_bytes"])} of {megabytes(size)};
  after that, none: the cache is this machine's, whoever reads""")


def main():
    if len(sys.argv) not in (2, 3, 4) or any(word.startswith("-") for word in sys.argv[1:]):
        wants_help = sys.argv[1:] in (["-h"], ["--help"])
        print(__doc__ if wants_help else "usage: readers.py DATABASE [COMPRESSED [URL]]",
              file=sys.stdout if wants_help else sys.stderr)
        return 0 if wants_help else 2
    path, *packed = [os.path.realpath(word) for word in sys.argv[1:3]]
    url = sys.argv[3:]
    hugelite = os.environ.get("HUGELITE") or shutil.which("hugelite")
    if not hugelite:
        fail("the program hugelite is not in PATH; set HUGELITE")
    try:
        plain = readable_by_stock(path)
        queries = queries_for(plain)
    except (sqlite3.Error, OSError) as error:
        fail(f"{path}: {error}")
    try:
        if url:
            compare_with_remote(hugelite, *packed, *url, queries)
        elif packed:
            compare_with_compressed(hugelite, path, *packed, queries)
        else:
            compare_with_stock(hugelite, path, plain, queries)
    except OSError as error:
        fail(error)
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))   # through finally
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
