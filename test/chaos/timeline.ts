// What happened in one room, in order, out of all logs: what somebody reads who wants to understand a violation.

import type { History } from "./history.ts";

export interface Moment {
  readonly at: number;
  readonly text: string;
}

/** Long lists of reads that changed nothing tell nothing: only their lengths are shown. */
export function timelineOf(history: History, roomId: string): Moment[] {
  const moments: Moment[] = [];
  const add = (at: number, text: string): void => void moments.push({ at, text });
  for (const { name, target, from, to, bit, skipped } of history.faults) {
    if (skipped !== undefined) continue;
    add(from, `FAULT ${name} of ${target} begins`);
    if (to - from > 50) add(to, `FAULT ${name} of ${target} is over: ${bit ?? "without effect"}`);
  }
  for (const { nodeId, pid, from, to, exit } of history.lives) {
    add(from, `${nodeId} serves as process ${pid}`);
    if (to !== undefined) add(to, `${nodeId}, process ${pid}, ended with ${exit}`);
  }
  for (const { at, writer, what, roomId: of, epoch, seq, key } of history.writes) {
    if (of === roomId)
      add(
        at,
        `postgres: ${writer} ${what} at epoch ${epoch}${seq === undefined ? "" : `, number ${seq}`}${key === undefined ? "" : ` ${key}`}`,
      );
  }
  for (const { at, nodeId, roomId: of, epoch, from } of history.openings) {
    if (of !== roomId) continue;
    const source =
      from === undefined ? "new" : `from checkpoint ${from.checkpointSeq}, ${from.checkpointAgeMs} ms old`;
    add(at, `${nodeId} has opened epoch ${epoch}, ${source}`);
  }
  for (const op of history.ops) {
    if (op.roomId !== roomId) continue;
    const took = op.endedAt - op.invokedAt;
    if (op.kind === "read") {
      const got =
        op.got && `epoch ${op.got.epoch}, ${op.got.plain.length} plain, ${op.got.committed.length} committed`;
      add(op.endedAt, `${op.client} reads ${got ?? "nothing"}, asked ${took} ms before`);
    } else {
      const where = op.at === undefined ? "" : ` as ${op.kind}[${op.at.index}] of epoch ${op.at.epoch}`;
      add(
        op.endedAt,
        `${op.client} ${op.kind} ${op.id}: ${op.outcome}${where}${op.why === undefined ? "" : ` (${op.why})`}, asked ${took} ms before`,
      );
    }
  }
  let spoken = 0;
  for (const { at, client, roomId: of, epoch, seq, pid } of history.frames) {
    if (of !== roomId || epoch === spoken) continue;
    spoken = epoch;
    add(at, `${client} hears epoch ${epoch}, seq ${seq}, of process ${pid}`);
  }
  const passing = new Map<string, number>();
  for (const { gateway, at, roomId: of, epoch, session, isDirect } of history.gatewayFrames) {
    if (of !== roomId || passing.get(gateway) === epoch) continue;
    passing.set(gateway, epoch);
    const from = isDirect === true ? "its own room" : "a link";
    add(at, `gateway ${gateway} lets epoch ${epoch} through to ${session}, from ${from}`);
  }
  for (const { client, roomId: of, from, to, end, code, reason } of history.absences) {
    if (of !== roomId) continue;
    add(from, `${client} is cut off`);
    add(to, `${client} ${end}${code === undefined ? "" : ` ${code} ${reason}`}`);
  }
  return moments.sort((one, other) => one.at - other.at);
}

/** The part around `at`, as lines: ms since `from`, and what happened. */
export function linesAround(moments: readonly Moment[], at: number, from: number, count = 60): string[] {
  const index = moments.findIndex((moment) => moment.at > at);
  const end = index === -1 ? moments.length : Math.min(moments.length, index + 5);
  return moments
    .slice(Math.max(0, end - count), end)
    .map((moment) => `${String(Math.round(moment.at - from)).padStart(7)} ms  ${moment.text}`);
}
