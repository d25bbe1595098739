// Whether the logs have seen anything: a log that has gone blind finds nothing, and would call every run a good one. Each is
// held against another that was written without knowing of it.

import type { History, Violation } from "../history.ts";

/** Each player does something several times a second; with all that is broken, a room's players do so once in so long. */
const DONE_EVERY_MS = 10_000;
/** Colyseus's numbers for a room's full state and for a change of it: what a player hears of the ledger's counters. */
const STATES: ReadonlySet<number> = new Set([14, 15]);

/** In each ledger players have written, committed, read and heard something, as often as such a run lets them. */
export function playersPlayed({ ops, frames, settings }: History): Violation[] {
  const { ledgers = [], playedMs = 0 } = settings.expected ?? {};
  const least = Math.max(1, Math.floor(playedMs / DONE_EVERY_MS));
  return ledgers.flatMap((roomId) => {
    const own = ops.filter((op) => op.roomId === roomId && op.outcome === "ok");
    const heard = frames.filter((frame) => frame.roomId === roomId).length;
    const done = (["plain", "committed", "read"] as const).map((kind) => {
      return { what: `${kind} done`, count: own.filter((op) => op.kind === kind).length };
    });
    return [...done, { what: "states heard", count: heard }]
      .filter(({ count }) => count < least)
      .map(({ what, count }) =>
        blind(roomId, `the players' log has ${count} ${what}, of ${least} at least`, 0),
      );
  });
}

/** Whatever a player heard of a ledger, a gateway has let through: at that epoch, at least once for each time. */
export function gatewaysSaw({ frames, gatewayFrames }: History): Violation[] {
  const key = ({ roomId, epoch }: { roomId: string; epoch: number }): string => `${roomId} ${epoch}`;
  const passed = Map.groupBy(
    gatewayFrames.filter(({ code }) => STATES.has(code)),
    key,
  );
  return [...Map.groupBy(frames, key)].flatMap(([place, heard]) => {
    const [first] = heard;
    const count = passed.get(place)?.length ?? 0;
    if (first === undefined || count >= heard.length) return [];
    const what = `players heard epoch ${first.epoch} ${heard.length} times, and the gateways' log has ${count} of them`;
    return [blind(first.roomId, what, first.at)];
  });
}

/** Every activation that a node tells of, or that a player has heard, has its claim in Postgres's log. */
export function postgresSaw({ frames, openings, writes }: History): Violation[] {
  const claimed = new Set(
    writes.filter(({ what }) => what === "claim").map(({ roomId, epoch }) => `${roomId} ${epoch}`),
  );
  const told = new Map<string, { roomId: string; epoch: number; at: number }>();
  for (const one of [...openings, ...frames]) told.set(`${one.roomId} ${one.epoch}`, one);
  return [...told]
    .filter(([place]) => !claimed.has(place))
    .map(([, { roomId, epoch, at }]) => blind(roomId, `epoch ${epoch} has no claim in Postgres's log`, at));
}

function blind(roomId: string, what: string, at: number): Violation {
  return { rule: "blind-log", roomId, what, at };
}
