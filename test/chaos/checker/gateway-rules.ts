// What gateways may let through, by their own logs.

import type { GatewayFrame, Violation } from "../history.ts";
import type { Rule } from "./room-history.ts";

/** Two processes, one machine's clock: each rounds its milliseconds as it likes. */
const ROUNDING_MS = 2;

/**
 * Each gateway lets only the newest activation speak: after an epoch's first message, none of an older one. And a node whose
 * own players hear it says nothing any more once Postgres has given the room to another.
 */
export const oneGate: Rule = (room) => {
  const violations: Violation[] = [];
  const add = (what: string, { at }: GatewayFrame): void =>
    void violations.push({ rule: "one-gate", roomId: room.roomId, what, at });
  for (const [gateway, frames] of Map.groupBy(room.gatewayFrames, (frame) => frame.gateway)) {
    let newest = frames[0];
    const told = new Set<number>();
    for (const frame of frames) {
      if (newest === undefined || frame.epoch >= newest.epoch) {
        if (newest === undefined || frame.epoch > newest.epoch) newest = frame;
      } else if (!told.has(frame.epoch)) {
        told.add(frame.epoch);
        const sinceMs = frame.at - newest.at;
        add(
          `${gateway} let epoch ${frame.epoch} speak to ${frame.session} ${sinceMs} ms after epoch ${newest.epoch}`,
          frame,
        );
      }
    }
  }
  const claims = room.writes.filter(({ what }) => what === "claim");
  const told = new Set<number>();
  for (const frame of room.gatewayFrames) {
    if (frame.isDirect !== true || told.has(frame.epoch)) continue;
    const over = claims.find(({ epoch, at }) => epoch > frame.epoch && at < frame.at - ROUNDING_MS);
    if (over === undefined) continue;
    told.add(frame.epoch);
    const sinceMs = Math.round(frame.at - over.at);
    add(
      `${frame.gateway} spoke for epoch ${frame.epoch} to ${frame.session} ${sinceMs} ms after ${over.writer} had claimed epoch ${over.epoch}`,
      frame,
    );
  }
  return violations;
};
