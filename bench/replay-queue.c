/* SPDX-License-Identifier: MIT
 *
 * replay-queue.c - queues of chunks, linked through one table.
 *
 * Entry points: queue_*().
 */
#include <config.h>

#include "replay.h"

struct queue queue_of(struct link *links)
{
    return (struct queue){ .links = links, .newest = NONE, .oldest = NONE };
}

void queue_push(struct queue *queue, uint32_t chunk)
{
    queue->links[chunk] = (struct link){ .newer = NONE, .older = queue->newest };
    if (queue->newest != NONE)
        queue->links[queue->newest].newer = chunk;
    else
        queue->oldest = chunk;
    queue->newest = chunk;
    queue->length++;
}

void queue_remove(struct queue *queue, uint32_t chunk)
{
    struct link link = queue->links[chunk];

    if (link.newer != NONE)
        queue->links[link.newer].older = link.older;
    else
        queue->newest = link.older;
    if (link.older != NONE)
        queue->links[link.older].newer = link.newer;
    else
        queue->oldest = link.newer;
    queue->length--;
}

uint32_t queue_pop(struct queue *queue)
{
    uint32_t chunk = queue->oldest;

    queue_remove(queue, chunk);
    return chunk;
}
