/* SPDX-License-Identifier: MIT
 *
 * interior.h - the interior pages of a volume's B-trees: which they are, as the catalog knows or
 * as a walk down all trees finds out.
 */
#ifndef HL_INTERIOR_H
#define HL_INTERIOR_H

struct hl_forage;
struct hl_state;
struct hl_volume;

/* Bring them, top levels first over all trees.  0, also when the volume is no database; or why
 * not all of them have been looked for. */
int hl_interior_bring(struct hl_volume *volume, struct hl_state *state, struct hl_forage *forage);

#endif
