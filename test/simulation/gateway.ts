// Where frames end: a gateway with players in every room, and what they saw. It lets through what the product's EpochGate does.

import { EpochGate } from "../../src/gateway/epoch-gate.ts";
import type { Epoch, RoomId } from "../../src/ids.ts";
import { Process } from "./world.ts";

/** What a room tells its players. */
export interface Frame {
  readonly roomId: RoomId;
  readonly epoch: Epoch;
  readonly number: number;
}

export interface Gate {
  admits(roomId: RoomId, epoch: Epoch): boolean;
}

export class SimGateway {
  readonly process: Process;
  readonly #gate: Gate;
  readonly #onSeen: (gateway: string, frame: Frame) => void;
  seen = 0;

  constructor(name: string, gate: Gate | undefined, onSeen: (gateway: string, frame: Frame) => void) {
    this.process = new Process(name);
    this.#gate = gate ?? new EpochGate();
    this.#onSeen = onSeen;
  }

  receive(frame: Frame): void {
    if (!this.#gate.admits(frame.roomId, frame.epoch)) return;
    this.seen += 1;
    this.#onSeen(this.process.name, frame);
  }
}
