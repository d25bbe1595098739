// Which rooms are here: the activations of this node, by their ids and by their Rooms, from their opening to their end.

import type { Room } from "@colyseus/core";
import { evict, internals } from "../colyseus/room-internals.ts";
import { cutPlaces, placeOf } from "../colyseus/room-transport.ts";
import { messageOf } from "../errors.ts";
import type { EventBus } from "../events.ts";
import type { RoomId } from "../ids.ts";
import type { Directory } from "../ownership/directory.ts";
import type { Activation } from "./activation.ts";

/** The commits of the rooms here, as far as a room's beginning and end concern them. */
export interface CommitsOfRooms {
  /** From now on the room's author may commit. */
  attach(activation: Activation): void;
  /** Resolves when no commit of the room is under way or waits. */
  idle(activation: Activation): Promise<void>;
}

export interface RoomTableParts {
  readonly events: EventBus;
  readonly directory: Directory;
  /** Asked for when a room is there: commits need checkpoints, and those need the rooms. */
  readonly commits: () => CommitsOfRooms;
}

export class RoomTable {
  readonly #parts: RoomTableParts;
  readonly #activations = new Map<RoomId, Activation>();
  readonly #byRoom = new WeakMap<Room, Activation>();
  /** Rooms that are this node's in Postgres without an activation: about to be entered, or ended but not yet there. */
  readonly #between = new Set<RoomId>();
  readonly #endings = new Set<Promise<void>>();

  constructor(parts: RoomTableParts) {
    this.#parts = parts;
  }

  /** The rooms here, in whatever phase but opening or ended. */
  get activations(): ReadonlyMap<RoomId, Activation> {
    return this.#activations;
  }

  /** Every room that this node has something to do with. What Postgres gives it beyond these was claimed unawares. */
  get known(): RoomId[] {
    return [...this.#activations.keys(), ...this.#between];
  }

  isKnown(roomId: RoomId): boolean {
    return this.#activations.has(roomId) || this.#between.has(roomId);
  }

  /** The activation of a Room, in whatever phase; undefined for a Room that was refused before it had one. */
  of(room: Room): Activation | undefined {
    return this.#byRoom.get(room);
  }

  /** Until `work` is done, the room counts as known: it is about to be entered in Postgres, and then here. */
  async while<Result>(roomId: RoomId, work: () => Promise<Result>): Promise<Result> {
    this.#between.add(roomId);
    try {
      return await work();
    } finally {
      this.#between.delete(roomId);
    }
  }

  /** Resolves when each room that had come to its end has ended in Postgres too, or could not. */
  async untilEnded(): Promise<void> {
    await Promise.all(this.#endings);
  }

  /** An activation that is being opened: found by its Room only. */
  begin(activation: Activation): void {
    this.#byRoom.set(activation.room, activation);
  }

  /** From now on it is here. */
  enter(activation: Activation): Activation {
    const { room, roomId } = activation;
    const other = this.#activations.get(roomId);
    if (other !== undefined) this.letGo(other, "fenced"); // Postgres gave the room a newer epoch: this one
    this.#byRoom.set(room, activation);
    this.#activations.set(roomId, activation);
    this.#parts.commits().attach(activation);
    internals(room)._events.once("dispose", () => {
      if (activation.phase.name === "ended") return;
      activation.phase = { name: "ended", why: "disposed" };
      this.#activations.delete(roomId);
      this.#between.add(roomId);
      const { promise: ending, resolve } = Promise.withResolvers<void>();
      this.#endings.add(ending);
      // After the author's onDispose, which may still want the room to be there.
      internals(room)._events.once("disconnect", () => {
        void this.#disposed(activation).finally(() => {
          this.#endings.delete(ending);
          resolve();
        });
      });
    });
    return activation;
  }

  /** It could not be opened after all. What Colyseus disposes of then is not the saved room. */
  fail(activation: Activation): void {
    activation.phase = { name: "ended", why: "failed" };
    this.#activations.delete(activation.roomId);
  }

  /**
   * Ends an activation without a word to the room's author: the room goes on elsewhere.
   *
   * Its players stay connected: their gateways find the room anew. What they said and it has not heard goes along.
   */
  letGo(activation: Activation, why: "moved" | "fenced"): void {
    if (activation.phase.name === "ended") return;
    activation.phase = { name: "ended", why };
    this.#activations.delete(activation.roomId);
    const { room, held } = activation;
    activation.held = [];
    evict(room); // which silences them
    const unheard = Map.groupBy(held, ({ client }) => placeOf(client));
    cutPlaces(room, new Map([...unheard].map(([place, said]) => [place, said.map(({ bytes }) => bytes)])));
    if (why === "fenced") {
      this.#parts.events.emit("room:fenced", { roomId: activation.roomId, epoch: activation.epoch });
    }
  }

  async #disposed(activation: Activation): Promise<void> {
    const { commits, directory, events } = this.#parts;
    const { roomId, epoch } = activation;
    try {
      await commits().idle(activation); // a match's result may be under way from its onDispose
      const isOver = await directory.dispose(roomId, epoch);
      if (isOver) events.emit("room:disposed", { roomId, epoch }); // another node's, it goes on there
    } catch (error) {
      // The row is still ours and is found as orphaned; the room then opens once more, empty, and ends again.
      events.emit("room:threw", { roomId, epoch, where: "dispose", error: messageOf(error), times: 1 });
    } finally {
      this.#between.delete(roomId);
    }
  }
}
