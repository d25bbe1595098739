// The rooms of a simulated node: what recovery, checkpoints and drain use of RoomHost, with the checks in the places where
// the product has them. Rooms tick, speak to their players and commit by themselves.

import { Generations } from "../../src/actor/generations.ts";
import type { OpenReason, RoomHost } from "../../src/actor/room-host.ts";
import type { Committer } from "../../src/commit/committer.ts";
import type { Config } from "../../src/config.ts";
import { hasCode, RingsideError } from "../../src/errors.ts";
import type { EventBus } from "../../src/events.ts";
import type { RoomId } from "../../src/ids.ts";
import type { ClaimedRoom, Directory } from "../../src/ownership/directory.ts";
import type { Lease } from "../../src/ownership/lease.ts";
import type { Chance } from "./chance.ts";
import type { Frame } from "./gateway.ts";
import { EFFECT } from "./postgres/checkpoint-statements.ts";
import type { SimClock } from "./sim-clock.ts";
import { SimRoom } from "./sim-room.ts";

/** Who keeps count of what rooms have been promised, and finds out when that is broken. */
export interface Witness {
  nextNumber(): number;
  opened(room: SimRoom): void;
  commitAsked(room: SimRoom, number: number): void;
  commitEnded(room: SimRoom, number: number, outcome: "acknowledged" | "refused" | "unknown"): void;
}

export interface SimHostParts {
  readonly config: Config;
  readonly clock: SimClock;
  readonly chance: Chance;
  readonly events: EventBus;
  readonly lease: Lease;
  readonly directory: Directory;
  readonly committer: () => Committer<SimRoom>;
  readonly witness: Witness;
  readonly say: (frame: Frame) => void;
}

const TICK_MS = 150;
const COMMIT_CHANCE = 0.08;

export class SimHost {
  readonly #parts: SimHostParts;
  readonly #activations = new Map<RoomId, SimRoom>();
  readonly #between = new Set<RoomId>();
  #refusesNewRooms = false;

  constructor(parts: SimHostParts) {
    this.#parts = parts;
  }

  /** As the product's types want it. */
  get asHost(): RoomHost {
    return this as unknown as RoomHost; // what is called of it is here
  }

  get activations(): ReadonlyMap<RoomId, SimRoom> {
    return this.#activations;
  }

  get known(): RoomId[] {
    return [...this.#activations.keys(), ...this.#between];
  }

  isKnown(roomId: RoomId): boolean {
    return this.#activations.has(roomId) || this.#between.has(roomId);
  }

  refuseNewRooms(): void {
    this.#refusesNewRooms = true;
  }

  /** As RoomOpener does for a player. */
  async create(roomId: RoomId): Promise<void> {
    if (this.#refusesNewRooms || this.isKnown(roomId)) return;
    this.#between.add(roomId);
    try {
      const epoch = await this.#parts.directory.create(roomId, "sim", {});
      if (epoch !== undefined) this.#enter(new SimRoom(roomId, epoch, [], this.#parts.chance.next()));
    } finally {
      this.#between.delete(roomId);
    }
  }

  /** As RoomOpener does. */
  async openClaimed(claimed: ClaimedRoom, why: OpenReason): Promise<SimRoom> {
    const { chance, clock, events, lease } = this.#parts;
    const { epoch, fromEpoch, fromNodeId, name, roomId } = claimed;
    const startedMs = clock.monotonicMs();
    const { checkpoint, newestSeq, snapshot } = await new Generations(claimed, this.#parts).next();
    if (chance.is(0.5)) await clock.sleep(chance.is(0.1) ? chance.between(0, 2_000) : chance.between(0, 20));
    if (!lease.isHeld) throw new RingsideError("LEASE_LOST", { roomId });
    const nowMs = clock.monotonicMs();
    // Saved by SimRoom.
    const room = new SimRoom(roomId, epoch, [...((snapshot?.cached ?? []) as number[])], chance.next());
    room.unsavedSinceMs = nowMs;
    room.nextSeq = newestSeq + 1;
    if (checkpoint !== undefined) {
      room.saved = { seq: checkpoint.seq, atMs: nowMs - checkpoint.ageMs, bytes: checkpoint.bytes.length };
    }
    this.#enter(room);
    events.emit("room:restored", {
      roomId,
      epoch,
      name,
      fromNodeId,
      fromEpoch,
      checkpointSeq: checkpoint?.seq ?? 0,
      checkpointAgeMs: Math.round(checkpoint?.ageMs ?? 0),
      seats: 0,
      waitedMs: 0,
      rebuildMs: 0,
      restoreMs: Math.round(nowMs - startedMs),
      why,
    });
    return room;
  }

  freeze(room: SimRoom): void {
    room.phase = { name: "moving", isSealed: false };
  }

  seal(room: SimRoom): void {
    room.phase = { name: "moving", isSealed: true };
  }

  resume(): void {}

  /** Nobody leaves the simulation's rooms. */
  untilLeft(): Promise<void> {
    return Promise.resolve();
  }

  /** They go on for ever. */
  untilEnded(): Promise<void> {
    return Promise.resolve();
  }

  letGo(room: SimRoom, why: "moved" | "fenced"): void {
    if (room.phase.name === "ended") return;
    room.phase = { name: "ended", why };
    this.#activations.delete(room.roomId);
    if (why === "fenced") this.#parts.events.emit("room:fenced", { roomId: room.roomId, epoch: room.epoch });
  }

  #enter(room: SimRoom): void {
    const other = this.#activations.get(room.roomId);
    if (other !== undefined) this.letGo(other, "fenced");
    this.#activations.set(room.roomId, room);
    room.phase = { name: "active" };
    this.#parts.witness.opened(room);
    this.#tickLater(room);
  }

  #tickLater(room: SimRoom): void {
    this.#parts.clock.ticks(TICK_MS, () => {
      if (room.phase.name === "ended") return;
      this.#tick(room);
      this.#tickLater(room);
    });
  }

  #tick(room: SimRoom): void {
    const { chance, clock, lease, say, witness } = this.#parts;
    if (!room.mayAct || !lease.isHeld) return;
    const number = witness.nextNumber();
    room.numbers.push(number);
    room.unsavedSinceMs ??= clock.monotonicMs();
    say({ roomId: room.roomId, epoch: room.epoch, number });
    if (chance.is(COMMIT_CHANCE)) this.#commit(room);
  }

  #commit(room: SimRoom): void {
    const { chance, witness } = this.#parts;
    const number = witness.nextNumber();
    const asksForAnswer = chance.is(0.2);
    witness.commitAsked(room, number);
    this.#parts
      .committer()
      .commit(room, (tx) => {
        room.numbers.push(number);
        tx.undo(() => void room.numbers.splice(room.numbers.indexOf(number), 1));
        const values = [room.roomId, number];
        if (asksForAnswer) return tx.query(EFFECT, values).then(() => {});
        tx.run(EFFECT, values);
      })
      .then(
        () => witness.commitEnded(room, number, "acknowledged"),
        (error: unknown) =>
          witness.commitEnded(room, number, hasCode(error, "COMMIT_UNKNOWN") ? "unknown" : "refused"),
      );
  }
}
