#!/bin/sh
# SPDX-License-Identifier: MIT
#
# query.sh DB SQL: a query through Hugelite's cache, from the stock sqlite3 shell.  DB may be
# compressed, as by hugelite pack x.db x.db.zst, and elsewhere: https://host/x.db.zst, s3://bucket/key.
[ $# -eq 2 ] || { echo "usage: query.sh DB SQL" >&2; exit 2; }

# In a URI these three mean something else.
name=$(printf '%s' "$1" | sed 's/%/%25/g; s/?/%3f/g; s/#/%23/g')
exec sqlite3 -batch -bail :memory: ".load ${HUGELITE_SO:-hugelite}" \
    ".open \"file:$name?vfs=hugelite\"" "$2"
