// What gateways may let through, by their own logs.

import type { Violation } from "../history.ts";
import type { Rule } from "./room-history.ts";

/** Two processes, one machine's clock: each rounds its milliseconds as it likes. */
const ROUNDING_MS = 2;

/** Each gateway lets only the newest activation speak: after an epoch's first message, none of an older one. */
export const oneGate: Rule = ({ roomId, gatewayFrames }) =>
  [...Map.groupBy(gatewayFrames, ({ gateway }) => gateway)].flatMap(([gateway, frames]) => {
    let newest = frames[0];
    const late = new Map<number, Violation>();
    for (const frame of frames) {
      const { epoch, at, session } = frame;
      if (newest === undefined || epoch > newest.epoch) newest = frame;
      if (epoch >= newest.epoch || late.has(epoch)) continue;
      const after = `${at - newest.at} ms after epoch ${newest.epoch}`;
      const what = `${gateway} let epoch ${epoch} speak to ${session} ${after}`;
      late.set(epoch, { rule: "one-gate", roomId, what, at });
    }
    return [...late.values()];
  });

/** A node whose own players hear it says nothing any more once Postgres has given the room to another. */
export const silentOnceClaimed: Rule = ({ roomId, gatewayFrames, writes }) => {
  const claims = writes.filter(({ what }) => what === "claim");
  return [...Map.groupBy(gatewayFrames, ({ epoch }) => epoch)].flatMap(([epoch, frames]) => {
    const over = claims.find((claim) => claim.epoch > epoch);
    const late = frames.find(
      ({ isDirect, at }) => isDirect === true && over !== undefined && at > over.at + ROUNDING_MS,
    );
    if (over === undefined || late === undefined) return [];
    const after = `${Math.round(late.at - over.at)} ms after ${over.writer} had claimed epoch ${over.epoch}`;
    const what = `${late.gateway} spoke for epoch ${epoch} to ${late.session} ${after}`;
    return [{ rule: "one-voice", roomId, what, at: late.at }];
  });
};
