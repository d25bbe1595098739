// What is still to happen, the earliest first; what falls due together, in the order in which it was asked for (a binary heap).

import type { Kind, Process } from "./world.ts";

export interface Scheduled {
  atMs: number;
  order: number;
  readonly process: Process | undefined;
  readonly kind: Kind;
  /** Undefined once it has happened or was taken back. */
  work: (() => void) | undefined;
}

export class Queue {
  readonly #heap: Scheduled[] = [];
  #count = 0;

  add(atMs: number, process: Process | undefined, kind: Kind, work: () => void): Scheduled {
    const event: Scheduled = { atMs, order: 0, process, kind, work };
    this.put(event);
    return event;
  }

  put(event: Scheduled): void {
    event.order = this.#count++;
    const heap = this.#heap;
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const above = (at - 1) >> 1;
      const other = heap[above] as Scheduled; // inside
      if (isBefore(other, event)) break;
      heap[at] = other;
      at = above;
    }
    heap[at] = event;
  }

  /** The next one that falls due by then. */
  takeUntil(endMs: number): Scheduled | undefined {
    const heap = this.#heap;
    const first = heap[0];
    if (first === undefined || first.atMs > endMs) return undefined;
    const last = heap.pop() as Scheduled; // there is one
    if (heap.length > 0) this.#sink(last);
    return first;
  }

  #sink(event: Scheduled): void {
    const heap = this.#heap;
    let at = 0;
    for (;;) {
      let below = at * 2 + 1;
      if (below >= heap.length) break;
      const right = heap[below + 1];
      if (right !== undefined && isBefore(right, heap[below] as Scheduled)) below += 1;
      const other = heap[below] as Scheduled; // inside
      if (isBefore(event, other)) break;
      heap[at] = other;
      at = below;
    }
    heap[at] = event;
  }
}

function isBefore(a: Scheduled, b: Scheduled): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}
