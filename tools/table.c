/* SPDX-License-Identifier: MIT
 *
 * Columns that line up: cells are collected row by row, printed when all are known.
 * Widths are counted in characters of UTF-8, not in bytes.
 *
 * Entry points: hl_table_new(), hl_table_cell(), hl_table_print(), hl_table_free().
 * See also: stat.c, sql.c (users).
 */
#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tools.h"

struct hl_table {
    unsigned columns;
    char *align;
    char **cells;
    size_t nr, room;
};

/* Characters of a text: bytes that do not continue another. */
static size_t width(const char *text)
{
    size_t n = 0;

    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

struct hl_table *hl_table_new(unsigned columns, const char *align)
{
    struct hl_table *table = calloc(1, sizeof *table);

    if (!table)
        return NULL;
    table->columns = columns;
    table->align = strdup(align);
    if (!table->align) {
        free(table);
        return NULL;
    }
    return table;
}

int hl_table_cell(struct hl_table *table, const char *text)
{
    char *copy;

    if (table->nr == table->room) {
        size_t room = table->room ? table->room * 2 : 64;
        char **cells = realloc(table->cells, room * sizeof *cells);

        if (!cells)
            return -ENOMEM;
        table->cells = cells;
        table->room = room;
    }
    copy = strdup(text ? text : "");
    if (!copy)
        return -ENOMEM;
    for (char *c = copy; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    table->cells[table->nr++] = copy;
    return 0;
}

static void print_cell(FILE *out, const char *text, size_t to_width, bool right, bool last)
{
    size_t w = width(text);
    int pad = w < to_width ? (int)(to_width - w) : 0;

    if (right)
        fprintf(out, "%*s", pad, "");
    fputs(text, out);
    if (!right && !last)
        fprintf(out, "%*s", pad, "");
    fputs(last ? "\n" : "  ", out);
}

void hl_table_print(const struct hl_table *table, FILE *out)
{
    size_t *widths = calloc(table->columns, sizeof *widths);

    for (size_t i = 0; widths && i < table->nr; i++) {
        size_t w = width(table->cells[i]);

        if (w > widths[i % table->columns])
            widths[i % table->columns] = w;
    }
    for (size_t i = 0; i < table->nr; i++) {
        unsigned column = (unsigned)(i % table->columns);
        bool right = column < strlen(table->align) && table->align[column] == 'r';

        /* Without memory for the widths it is all there, just not aligned. */
        print_cell(out, table->cells[i], widths ? widths[column] : 0, right,
                   column == table->columns - 1);
    }
    free(widths);
}

void hl_table_free(struct hl_table *table)
{
    if (!table)
        return;
    for (size_t i = 0; i < table->nr; i++)
        free(table->cells[i]);
    free(table->cells);
    free(table->align);
    free(table);
}
