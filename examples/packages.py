#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Make an SQLite database of a Debian package index.

    apt-cache dumpavail | examples/packages.py packages.db

Reads stanzas as in a Packages file or /var/lib/dpkg/status from standard input.
The database appears under its name when it is complete; a file of that name is
replaced.

    package(id, name, version, architecture, section, priority, source, maintainer,
            installed_bytes, download_bytes, homepage, description)
    depends(package, kind, target, relation, choice)    one row per edge: package.id, then
            "Depends", "Recommends", ..., the name it points at, ">= 1.2", and the number of the
            clause, which alternatives (a | b) share
    maintainer(id, name, email)
    tag(package, tag)                                   "role::program"
    search(name, description)                           full text (FTS5), rowid = package.id
"""

import os
import re
import sqlite3
import sys

SCHEMA = """
PRAGMA journal_mode = off;
PRAGMA synchronous = off;
CREATE TABLE maintainer(id INTEGER PRIMARY KEY, name TEXT, email TEXT);
CREATE TABLE package(id INTEGER PRIMARY KEY, name TEXT NOT NULL, version TEXT, architecture TEXT,
    section TEXT, priority TEXT, source TEXT, maintainer INTEGER REFERENCES maintainer(id),
    installed_bytes INTEGER, download_bytes INTEGER, homepage TEXT, description TEXT);
CREATE TABLE depends(package INTEGER NOT NULL REFERENCES package(id), kind TEXT NOT NULL,
    target TEXT NOT NULL, relation TEXT, choice INTEGER NOT NULL);
CREATE TABLE tag(package INTEGER NOT NULL REFERENCES package(id), tag TEXT NOT NULL,
    PRIMARY KEY(package, tag)) WITHOUT ROWID;
"""

INDEXES = """
CREATE UNIQUE INDEX package_name ON package(name);
CREATE INDEX package_section ON package(section);
CREATE INDEX package_maintainer ON package(maintainer);
CREATE INDEX depends_package ON depends(package, kind);
CREATE INDEX depends_target ON depends(target, kind);
CREATE INDEX tag_tag ON tag(tag);
"""

SEARCH = """
CREATE VIRTUAL TABLE search USING fts5(name, description, content=package, content_rowid=id);
INSERT INTO search(search) VALUES ('rebuild');
"""

KINDS = ("Pre-Depends", "Depends", "Recommends", "Suggests", "Enhances", "Breaks",
         "Conflicts", "Replaces", "Provides")

# "libfoo1:any (>= 1.2) [amd64]"
EDGE = re.compile(r"\s*([^\s:(\[]+)(?::\w+)?\s*(?:\(\s*([<>=]+)\s*([^)\s]+)\s*\))?")


def stanzas(stream):
    """Yield each paragraph as a dict of its fields; folded lines keep their newline."""
    fields, key = {}, None
    for line in stream:
        if line == "\n":
            if fields:
                yield fields
            fields, key = {}, None
        elif line[0] in " \t":
            if key:
                fields[key] += "\n" + line.strip()
        else:
            key, _, value = line.partition(":")
            fields[key] = value.strip()
    if fields:
        yield fields


def edges(fields):
    """Yield (kind, target, relation, choice) for every edge of one package."""
    choice = 0
    for kind in KINDS:
        for clause in fields.get(kind, "").split(","):
            for alternative in clause.split("|"):
                match = EDGE.match(alternative)
                if match:
                    target, operator, version = match.groups()
                    yield kind, target, operator and operator + " " + version, choice
            choice += 1


def number(text, unit=1):
    return int(text) * unit if text and text.isdigit() else None


def fill(db, stream):
    maintainers, names = {}, set()
    for fields in stanzas(stream):
        name = fields.get("Package")
        # Of several versions apt prints the newest first.
        if not name or name in names:
            continue
        names.add(name)
        package = len(names)
        maintainer = fields.get("Maintainer")
        if maintainer not in maintainers:
            who, _, email = (maintainer or "").partition("<")
            maintainers[maintainer] = len(maintainers) + 1
            db.execute("INSERT INTO maintainer VALUES (?, ?, ?)",
                       (maintainers[maintainer], who.strip() or None, email.rstrip("> ") or None))
        db.execute("INSERT INTO package VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (
            package, name, fields.get("Version"), fields.get("Architecture"),
            fields.get("Section"), fields.get("Priority"), fields.get("Source", name).split()[0],
            maintainers[maintainer], number(fields.get("Installed-Size"), 1024),
            number(fields.get("Size")), fields.get("Homepage"),
            fields.get("Description", fields.get("Description-en"))))
        db.executemany("INSERT INTO depends VALUES (?, ?, ?, ?, ?)",
                       ((package, *edge) for edge in edges(fields)))
        db.executemany("INSERT OR IGNORE INTO tag VALUES (?, ?)",
                       ((package, tag.strip()) for tag in fields.get("Tag", "").split(",")
                        if tag.strip()))
    return len(names)


def main():
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        wants_help = sys.argv[1:] in (["-h"], ["--help"])
        print(__doc__ if wants_help else "usage: apt-cache dumpavail | packages.py OUT.db",
              file=sys.stdout if wants_help else sys.stderr)
        return 0 if wants_help else 2
    out = sys.argv[1]
    unfinished = f"{out}.{os.getpid()}"
    try:
        db = sqlite3.connect(unfinished, isolation_level=None)
        db.executescript(SCHEMA)
        db.execute("BEGIN")
        with open(0, encoding="utf-8", errors="replace", closefd=False) as stream:
            packages = fill(db, stream)
        if packages == 0:
            print("packages.py: no package in the input", file=sys.stderr)
            return 1
        db.execute("COMMIT")
        db.executescript(INDEXES)
        try:
            db.executescript(SEARCH)
        except sqlite3.OperationalError as error:      # an SQLite without FTS5
            print(f"packages.py: no full text index: {error}", file=sys.stderr)
        db.execute("ANALYZE")
        edge_count = db.execute("SELECT count(*) FROM depends").fetchone()[0]
        db.close()
        os.rename(unfinished, out)
    except (sqlite3.Error, OSError) as error:
        print(f"packages.py: {out}: {error}", file=sys.stderr)
        return 1
    finally:
        if os.path.exists(unfinished):
            os.unlink(unfinished)
    print(f"{packages:,} packages, {edge_count:,} edges between them")
    return 0


if __name__ == "__main__":
    sys.exit(main())
