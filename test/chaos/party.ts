// Everybody who plays in a chaos run: two or more in each ledger, walkers in arenas, buyers in markets. Each comes in
// through a gateway of their own, as long as that is there; the third in a ledger shares the first one's.

import { Buyer, Walker, type BystanderOptions } from "./bystanders.ts";
import type { Connection } from "./connection.ts";
import { LedgerPlayer } from "./ledger-player.ts";
import type { World } from "./world.ts";

export interface PartySize {
  readonly ledgers: number;
  readonly playersALedger: number;
  readonly walkers: number;
  readonly buyers: number;
}

export interface Party {
  readonly ledgers: readonly string[];
  readonly players: readonly LedgerPlayer[];
  readonly walkers: readonly Walker[];
  readonly buyers: readonly Buyer[];
}

const WALKERS_AN_ARENA = 3;
const BUYERS_A_MARKET = 2;

export async function gather(
  world: World,
  seed: number,
  size: PartySize,
  signals: { readonly playing: AbortSignal; readonly running: AbortSignal },
): Promise<Party> {
  const gateways = world.cluster.nodes;
  const { recorder } = world;
  let members = 0;
  const options = (door: number): BystanderOptions => {
    const gateway = gateways[door % gateways.length];
    if (gateway === undefined) throw new Error("there is no node");
    members += 1;
    return { ...signals, recorder, door: () => world.cluster.clientVia(gateway), seed: seed + members };
  };
  const ledgers: string[] = [];
  const players: LedgerPlayer[] = [];
  for (let ledger = 0; ledger < size.ledgers; ledger++) {
    for (let place = 0; place < size.playersALedger; place++) {
      const name = `p${ledger}${"abcdefgh"[place]}`;
      const player = new LedgerPlayer({ name, ...options(ledger + (place % 2)) });
      const roomId = await player.join(ledgers[ledger]);
      ledgers[ledger] ??= roomId;
      players.push(player);
    }
  }
  const walkers: Walker[] = [];
  for (let index = 0; index < size.walkers; index++) {
    const walker = new Walker(`walker-${index}`, options(index));
    const companion = index % WALKERS_AN_ARENA === 0 ? undefined : walkers[index - 1];
    await walker.join(companion?.connection.roomId);
    walkers.push(walker);
  }
  const buyers: Buyer[] = [];
  for (let index = 0; index < size.buyers; index++) {
    const buyer = new Buyer(`buyer-${index}`, options(index));
    const companion = index % BUYERS_A_MARKET === 0 ? undefined : buyers[index - 1];
    await buyer.join(companion?.shopper.market);
    buyers.push(buyer);
  }
  return { ledgers, players, walkers, buyers };
}

/** Everybody plays. Resolves when the signal that they were given has told them to stop, and they have. */
export async function play({ players, walkers, buyers }: Party): Promise<void> {
  await Promise.all([...players, ...walkers, ...buyers].map((one) => one.play()));
}

export function connectionsOf({ players, walkers }: Party): Connection[] {
  return [...players, ...walkers].map(({ connection }) => connection as Connection);
}

/** How many of the party are connected to each of its rooms now. */
export function presentIn({ players, walkers, buyers }: Party): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  const add = (roomId: string, isOpen: boolean): void =>
    void counts.set(roomId, (counts.get(roomId) ?? 0) + (isOpen ? 1 : 0));
  for (const { connection } of [...players, ...walkers]) add(connection.roomId, connection.isOpen);
  for (const { shopper } of buyers) add(shopper.market, shopper.player.room.connection.isOpen);
  return counts;
}

/** The run is over: nobody tries to come back. */
export function disperse(party: Party): void {
  for (const connection of connectionsOf(party)) connection.close();
  for (const buyer of party.buyers) buyer.close();
}
