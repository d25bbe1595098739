// Where rooms and the committer meet: from a room's beginning here its author may commit.

import type { Room } from "@colyseus/core";

import type { EventBus } from "../events.ts";
import { attachCommits } from "./commit.ts";
import type { Committable, Committer } from "./committer.ts";

export class RoomCommits<Activation extends Committable & { readonly room: Room }> {
  readonly #committer: Committer<Activation>;
  readonly #events: EventBus;

  constructor(committer: Committer<Activation>, events: EventBus) {
    this.#committer = committer;
    this.#events = events;
  }

  /** From now on the room's author may commit. */
  attach(activation: Activation): void {
    const { room, roomId, epoch } = activation;
    let isTold = false;
    attachCommits(room, {
      commit: (work) => this.#committer.commit(activation, work),
      onUnheard: () => {
        if (isTold) return;
        isTold = true;
        this.#events.emit("commit:not-awaited", { roomId, epoch });
      },
    });
  }

  /** Resolves when no commit of the room is under way or waits. */
  idle(activation: Activation): Promise<void> {
    return this.#committer.idle(activation);
  }
}
