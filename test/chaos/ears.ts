// Who listens to each ledger straight at its owner's own port, where no load balancer and no gateway stands between: a
// process that speaks when it may not is heard there. When the room has another owner, one listens at that one's as well,
// and who is at the former one's stays: there a word too many would be heard.

import { systemClock } from "../../src/runtime/clock.ts";
import type { TestCluster } from "../kit/cluster.ts";
import { Connection } from "./connection.ts";
import type { LedgerState } from "./ledger-room.ts";
import { logFrames } from "./ledger-player.ts";
import type { Recorder } from "./recorder.ts";
import { PACE } from "./settings.ts";
import type { World } from "./world.ts";

const LOOK_EVERY_MS = 700;
const JOIN_MS = 4_000 * PACE;

export class Ears {
  readonly #world: World;
  readonly #rooms: readonly string[];
  /** By room and node. */
  readonly #open = new Map<string, Connection<LedgerState>>();
  #heard = 0;

  constructor(world: World, rooms: readonly string[]) {
    this.#world = world;
    this.#rooms = rooms;
  }

  get connected(): number {
    return [...this.#open.values()].filter((ear) => ear.isOpen).length;
  }

  /** Keeps an ear at each room until the signal says that it is enough, and then leaves. */
  async listen(enough: AbortSignal): Promise<void> {
    while (!enough.aborted) {
      const owners = await ownersOf(this.#world.cluster).catch(() => new Map<string, string>()); // Postgres is away
      // Whom nobody lets in now may be let in at the next look.
      await Promise.all(this.#rooms.map((roomId) => this.#keep(roomId, owners.get(roomId)).catch(() => {})));
      await systemClock.sleep(LOOK_EVERY_MS, enough).catch(() => {});
    }
    await Promise.all([...this.#open.values()].map((ear) => within(JOIN_MS, ear.leave()).catch(() => {})));
  }

  async #keep(roomId: string, ownerId: string | undefined): Promise<void> {
    const place = `${roomId} ${ownerId}`;
    if (this.#open.get(place)?.isOpen === true) return;
    const { cluster, able, recorder } = this.#world;
    const owner = able.find(({ nodeId }) => nodeId === ownerId);
    if (owner === undefined) return;
    const joining = cluster.client(owner).joinById<LedgerState>(roomId, { name: "ear", isEar: true });
    const room = await within(JOIN_MS, joining, (late) => void late.leave());
    const name = `ear-${(this.#heard += 1)}`;
    // It never comes back by itself: it is of interest only for as long as it is at its first owner's port.
    const silent: Pick<Recorder, "absences"> = { absences: [] };
    const ear = new Connection(name, room, silent as Recorder);
    room.reconnection.enabled = false;
    logFrames(name, ear, recorder, owner.pid);
    this.#open.set(place, ear);
  }
}

async function ownersOf(cluster: TestCluster): Promise<Map<string, string>> {
  const rows = await cluster.sql<{ room: string; node: string }>(
    "SELECT r.room_id AS room, n.node_id AS node FROM room r JOIN node n ON n.incarnation = r.owner WHERE n.state <> 'down'",
  );
  return new Map(rows.map(({ room, node }) => [room, node]));
}

/** @throws after `ms`; what comes later goes to `onLate` */
export async function within<Result>(
  ms: number,
  work: Promise<Result>,
  onLate?: (result: Result) => void,
): Promise<Result> {
  let isLate = false;
  work.then(
    (result) => isLate && onLate?.(result),
    () => {}, // told by the race, if it was in time
  );
  return Promise.race([
    work,
    systemClock.sleep(ms).then(() => {
      isLate = true;
      throw new Error(`not within ${ms} ms`);
    }),
  ]);
}
