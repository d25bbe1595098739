// A history as one room has it, and what all of its log say together of the order of its lists.

import type {
  Append,
  Frame,
  GatewayFrame,
  History,
  Lengths,
  List,
  Opening,
  Read,
  Violation,
  Voice,
  Write,
} from "../history.ts";

export interface GoodRead extends Read {
  readonly got: NonNullable<Read["got"]>;
}

export interface RoomHistory {
  readonly roomId: string;
  readonly appends: readonly Append[];
  /** Those that were answered, in the order in which they were. */
  readonly reads: readonly GoodRead[];
  readonly frames: readonly Frame[];
  readonly gatewayFrames: readonly GatewayFrame[];
  readonly writes: readonly Write[];
  readonly openings: readonly Opening[];
  /** See History.settings. */
  readonly lateMs: number;
}

/** Each rule looks at one room. */
export type Rule = (room: RoomHistory) => Violation[];

export function splitByRoom({
  ops,
  frames,
  gatewayFrames,
  writes,
  openings,
  settings,
}: History): RoomHistory[] {
  const roomIds = new Set(
    [ops, frames, gatewayFrames, writes].flatMap((log) => log.map(({ roomId }) => roomId)),
  );
  const of = <Item extends { readonly roomId: string }>(items: readonly Item[]): Map<string, Item[]> =>
    Map.groupBy(items, ({ roomId }) => roomId);
  const [opsOf, framesOf, writesOf, openingsOf] = [of(ops), of(frames), of(writes), of(openings)];
  const gatewayFramesOf = of(gatewayFrames);
  return [...roomIds].map((roomId) => {
    const own = opsOf.get(roomId) ?? [];
    return {
      roomId,
      appends: own.filter((op) => op.kind !== "read"),
      reads: own
        .filter((op): op is GoodRead => op.kind === "read" && op.outcome === "ok" && op.got !== undefined)
        .sort((one, other) => one.endedAt - other.endedAt),
      frames: framesOf.get(roomId) ?? [],
      gatewayFrames: gatewayFramesOf.get(roomId) ?? [],
      writes: writesOf.get(roomId) ?? [],
      openings: openingsOf.get(roomId) ?? [],
      lateMs: settings.lateMs ?? 0,
    };
  });
}

/** What is known of one list at one epoch: which id stands where, by all who were told. */
export interface Order {
  readonly ids: Map<number, string>;
}

export interface EpochView {
  readonly epoch: number;
  /** What it began with; undefined when nobody was told. */
  base: Lengths | undefined;
  readonly plain: Order;
  readonly committed: Order;
}

/**
 * Puts together what reads and answers say of each epoch. Two that disagree about a place are two orders.
 *
 * @returns the epochs that anybody has heard of, in order, and where they contradict themselves
 */
export function viewEpochs(room: RoomHistory): { epochs: EpochView[]; violations: Violation[] } {
  const byEpoch = new Map<number, EpochView>();
  const violations: Violation[] = [];
  const viewOf = (epoch: number): EpochView => {
    let view = byEpoch.get(epoch);
    if (view === undefined) {
      view = { epoch, base: undefined, plain: { ids: new Map() }, committed: { ids: new Map() } };
      byEpoch.set(epoch, view);
    }
    return view;
  };
  const note = (view: EpochView, list: List, index: number, id: string, at: number): boolean => {
    const known = view[list].ids.get(index);
    if (known === undefined) view[list].ids.set(index, id);
    if (known === undefined || known === id) return true;
    const what = `two orders at epoch ${view.epoch}: ${list}[${index}] is ${known} to one and ${id} to another`;
    violations.push({ rule: "one-order", roomId: room.roomId, what, at });
    return false;
  };
  const noteBase = (view: EpochView, { base }: Pick<Voice, "base">, at: number): void => {
    view.base ??= base;
    if (view.base.plain === base.plain && view.base.committed === base.committed) return;
    const what = `epoch ${view.epoch} began twice: with ${text(view.base)}, and with ${text(base)}`;
    violations.push({ rule: "one-order", roomId: room.roomId, what, at });
  };
  for (const { got, endedAt } of room.reads) {
    const view = viewOf(got.epoch);
    noteBase(view, got, endedAt);
    for (const list of ["plain", "committed"] as const) {
      got[list].every((id, index) => note(view, list, index, id, endedAt)); // one contradiction a read is enough
    }
  }
  for (const { kind, id, at, endedAt } of room.appends) {
    if (at !== undefined) note(viewOf(at.epoch), kind, at.index, id, endedAt);
  }
  return { epochs: [...byEpoch.values()].sort((one, other) => one.epoch - other.epoch), violations };
}

function text({ plain, committed }: Lengths): string {
  return `${plain} plain and ${committed} committed entries`;
}
