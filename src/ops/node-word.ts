// What a node tells of itself and its rooms when another asks: what only it knows (who is connected, what would be lost now),
// and all that can be known of it while Postgres is away.

import http from "node:http";
import type { Activation } from "../actor/activation.ts";
import type { Incarnation } from "../ids.ts";
import { KEY_HEADER } from "../membership/peer-http.ts";
import type { Member } from "../membership/view.ts";
import { rpoMs } from "./rpo.ts";

/** The path on the internal port under which a node tells of itself. */
export const WORD_PATH = "/ringside/rooms";
const ASK_MS = 400;
const ANSWER_BYTES_MAX = 8 * 1024 * 1024;

/** What an owner tells of one of its rooms. */
export interface OwnRoom {
  readonly roomId: string;
  readonly name: string;
  readonly epoch: number;
  readonly phase: "active" | "moving" | "frozen";
  readonly players: number;
  readonly seats: number;
  readonly checkpoint: { readonly seq: number; readonly ageMs: number; readonly bytes: number } | null;
  readonly rpoMs: number;
}

/** What a node tells of itself. */
export interface NodeWord {
  readonly incarnation: Incarnation;
  readonly pid: number;
  /** Wall time, in ms since 1970. */
  readonly startedAt: number;
  readonly leaseLeftMs: number;
  readonly rooms: readonly OwnRoom[];
}

/** This node's rooms, as only it knows them. */
export function tellOfRooms(
  activations: Iterable<Activation>,
  isLeaseHeld: boolean,
  nowMs: number,
): OwnRoom[] {
  return [...activations].map((activation) => {
    activation.noticeUnsent(nowMs); // what was changed since the last patch is unsaved as well
    return {
      roomId: activation.roomId,
      name: activation.name,
      epoch: activation.epoch,
      phase: !isLeaseHeld ? "frozen" : activation.phase.name === "active" ? "active" : "moving",
      players: activation.players,
      seats: activation.occupants.size,
      checkpoint:
        activation.saved === undefined
          ? null
          : {
              seq: activation.saved.seq,
              ageMs: Math.round(nowMs - activation.saved.atMs),
              bytes: activation.saved.bytes,
            },
      rpoMs: rpoMs(activation, nowMs),
    };
  });
}

/** Another node's word; undefined when it does not answer in time. Never rejects. */
export function askWord(member: Member, key: string): Promise<NodeWord | undefined> {
  return new Promise((resolve) => {
    const nothing = (): void => resolve(undefined);
    const request = http.get(
      {
        host: member.host,
        port: member.internalPort,
        path: WORD_PATH,
        headers: { [KEY_HEADER]: key },
        agent: false,
        timeout: ASK_MS,
      },
      (response) => {
        const chunks: Buffer[] = [];
        let bytes = 0;
        response.on("data", (chunk: Buffer) => {
          bytes += chunk.length;
          if (bytes > ANSWER_BYTES_MAX) request.destroy();
          else chunks.push(chunk);
        });
        response.on("error", nothing);
        response.on("end", () => {
          try {
            // From a node of this cluster, which has shown by the key that it is one.
            resolve(JSON.parse(Buffer.concat(chunks).toString()) as NodeWord);
          } catch {
            nothing();
          }
        });
      },
    );
    request.on("timeout", () => request.destroy());
    request.on("error", nothing);
    request.on("close", nothing);
  });
}
