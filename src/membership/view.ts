// The view: the nodes that count, as Postgres had them at one version. Immutable. Every node with the same view
// computes the same ring.

import type { Role } from "../config.ts";
import type { Incarnation, NodeId } from "../ids.ts";

export interface Member {
  readonly nodeId: NodeId;
  readonly incarnation: Incarnation;
  /** Colyseus's name for the process; it appears in the players' URLs. */
  readonly processId: string;
  readonly host: string;
  readonly publicPort: number;
  readonly internalPort: number;
  readonly managementPort: number;
  /** A member that is draining still owns rooms, but gets no more of them. */
  readonly state: "up" | "draining";
  /** What it is for: players' connections, rooms, or, where nothing is said, both. */
  readonly roles?: readonly Role[];
}

export interface View {
  readonly version: number;
  readonly members: readonly Member[];
}

export const EMPTY_VIEW: View = { version: 0, members: [] };

/** The member with this incarnation, if it counts. */
export function memberOf(view: View, incarnation: Incarnation): Member | undefined {
  return view.members.find((member) => member.incarnation === incarnation);
}

/** Who was in `before` and is not in `after`. */
export function departed(before: View, after: View): Member[] {
  return before.members.filter((member) => memberOf(after, member.incarnation) === undefined);
}

/** Whether two views give the same ring and the same addresses. */
export function isSameView(a: View, b: View): boolean {
  return (
    a.members.length === b.members.length &&
    a.members.every((member, index) => {
      const other = b.members[index];
      return other?.incarnation === member.incarnation && other.state === member.state;
    })
  );
}
