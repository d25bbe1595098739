// The judgement over a chaos run. Pure: logs in, verdict out. Each rule is shown to find what it is there for by a bad
// history made by hand (test/unit/chaos-checker.test.ts).

import type { History, Violation } from "../history.ts";
import { endsWell, faultsBit, ownedAgainInTime, seatsEnd } from "./cluster-rules.ts";
import { noStaleRead, oneVoice, oneWriter, opensFromNewest } from "./epoch-rules.ts";
import { oneGate, silentOnceClaimed } from "./gateway-rules.ts";
import { gatewaysSaw, playersPlayed, postgresSaw } from "./log-rules.ts";
import { commitsStand, ordersGoOn, rowsAgree } from "./order-rules.ts";
import { splitByRoom, type Rule } from "./room-history.ts";

const ROOM_RULES: readonly Rule[] = [
  ordersGoOn,
  commitsStand,
  rowsAgree,
  oneWriter,
  opensFromNewest,
  oneVoice,
  oneGate,
  silentOnceClaimed,
  noStaleRead,
];
const CLUSTER_RULES = [
  seatsEnd,
  ownedAgainInTime,
  endsWell,
  faultsBit,
  playersPlayed,
  gatewaysSaw,
  postgresSaw,
] as const;

export interface Verdict {
  readonly violations: readonly Violation[];
  /** The room with the shortest history of those in which something is wrong: the easiest to understand. */
  readonly smallestRoom: string | undefined;
}

export function check(history: History): Verdict {
  const rooms = splitByRoom(history);
  const violations = [
    ...rooms.flatMap((room) => ROOM_RULES.flatMap((rule) => rule(room))),
    ...CLUSTER_RULES.flatMap((rule) => rule(history)),
  ];
  const wrong = new Set(violations.map(({ roomId }) => roomId));
  const [smallest] = rooms
    .filter(({ roomId }) => wrong.has(roomId))
    .sort((one, other) => one.appends.length + one.reads.length - other.appends.length - other.reads.length);
  return { violations, smallestRoom: smallest?.roomId };
}
