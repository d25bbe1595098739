// Which activation of a room a gateway lets speak: the newest that it has heard of. A process that was frozen may still have
// frames of an old one in its buffers when it wakes (OWN2 keeps it from writing, this from being seen).
//
// Pure: frames' room and epoch in, yes or no out.

import type { Epoch, RoomId } from "../ids.ts";

export class EpochGate {
  readonly #newest = new Map<RoomId, Epoch>();

  /** Whether a frame of this activation may pass. From then on no older one's may. */
  admits(roomId: RoomId, epoch: Epoch): boolean {
    const newest = this.#newest.get(roomId);
    if (newest !== undefined && epoch < newest) return false;
    if (newest !== epoch) this.#newest.set(roomId, epoch);
    return true;
  }

  /** The newest activation of a room that has been heard of. */
  newest(roomId: RoomId): Epoch | undefined {
    return this.#newest.get(roomId);
  }

  /** Nobody here is in this room any more. */
  forget(roomId: RoomId): void {
    this.#newest.delete(roomId);
  }
}
