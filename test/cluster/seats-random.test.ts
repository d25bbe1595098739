// Players who come, go, drop and return at random while their room's owner is killed again and again. What each of them was
// told must hold, and the books must agree whenever it is quiet.
//
//   SEED=123 ROUNDS=20 vitest run --project cluster test/cluster/seats-random.test.ts

import { expect, test } from "vitest";
import { systemClock } from "../../src/runtime/clock.ts";
import { expectSeats } from "../kit/census.ts";
import { startCluster } from "../kit/cluster.ts";
import { RawSeat } from "../kit/raw-seat.ts";
import { until } from "../kit/until.ts";
import { seededRandom } from "../load/random.ts";

const MAX_CLIENTS = 5;
const ROUNDS = Number(process.env["ROUNDS"] ?? 5);

/** One who plays: has a seat, or is on the way to one, or out of one. */
interface Guest {
  /** What they were last told; undefined before the first time. */
  seat: RawSeat;
  /** They asked to leave. Whether they have is theirs to know when they were told so with a 4000. */
  isLeaving: boolean;
  /** In this round they do something already. */
  isBusy: boolean;
}

test(
  `[SEAT1] [SEAT2] [SEAT3] with kill -9 of the owner at any moment, acknowledged seats work, others are refused, and no book drifts`,
  { timeout: 60_000 + ROUNDS * 30_000 },
  async () => {
    const seed = Number(process.env["SEED"] ?? systemClock.nowMs() % 1_000_000);
    console.log(`seed ${seed}`);
    const random = seededRandom(seed);
    await using cluster = await startCluster({
      game: "kit/seats-game.ts",
      env: { CHECKPOINT_MS: "250", SEAT_HOLD_MS: "6000" },
    });
    const witness = await cluster.place({
      options: { name: "witness", maxClients: MAX_CLIENTS, holdSeconds: 30 },
    });
    let most = 0;
    witness.room.onStateChange((state) => {
      most = Math.max(most, (state as { players: { size: number } }).players.size);
    });
    let guests: Guest[] = [];
    const counts = { joined: 0, refused: 0, left: 0, returned: 0, kills: 0 };

    const join = async (): Promise<void> => {
      try {
        const seat = await RawSeat.join(cluster.port, witness.roomId, { name: "guest" });
        const guest = { seat, isLeaving: false, isBusy: true };
        guests.push(guest);
        counts.joined += 1;
        if (random() < 0.8) await seat.acknowledge();
      } catch {
        counts.refused += 1; // full, or in the middle of a failover
      }
    };
    /** Until it works, as the SDK does: what a player was told holds. A 4002 would be final. */
    const comeBack = async (guest: Guest): Promise<void> => {
      await until("a seat that was told of opens", async () => {
        try {
          const seat = await guest.seat.again(cluster.port);
          guest.seat = seat;
          counts.returned += 1;
          if (random() < 0.8) await seat.acknowledge();
          return true;
        } catch (error) {
          if (String(error).includes("4002"))
            throw new Error(`seed ${seed}: refused for good`, { cause: error });
          return false;
        }
      });
    };
    const act = async (guest: Guest): Promise<void> => {
      const dice = random();
      if (dice < 0.45) {
        guest.isLeaving = true;
        guest.seat.leave();
      } else if (dice < 0.7) {
        guest.seat.cut();
        await comeBack(guest);
      } else {
        await comeBack(guest); // by a second connection
      }
    };

    for (let round = 0; round < ROUNDS; round++) {
      const acts: Promise<unknown>[] = [];
      for (let count = 0; count < 6; count++) {
        // One thing at a time: a guest who comes twice with one token is another test's.
        const free = guests.filter((guest) => !guest.isBusy);
        const guest = free[Math.floor(random() * free.length)];
        if (guest === undefined || random() < 0.35) {
          acts.push(join());
        } else {
          guest.isBusy = true;
          acts.push(act(guest));
        }
        await systemClock.sleep(random() * 100); // the moments are what is random here
      }
      const owner = await cluster.ownerOf(witness.roomId);
      const restored = cluster.events.next("room:restored", ({ roomId }) => roomId === witness.roomId);
      await owner.kill();
      counts.kills += 1;
      await restored;
      const added = cluster.add(owner.nodeId);
      await Promise.all(acts);

      // Who has not been told of having left has not left, and may say so once more.
      for (const guest of guests) {
        if (guest.isLeaving && guest.seat.closedWith === 4000) counts.left += 1;
      }
      guests = guests.filter((guest) => guest.seat.closedWith !== 4000);
      for (const guest of guests) {
        if (guest.isLeaving) {
          // In vain when the seat was given up and only the word of it was lost.
          const back = await guest.seat.again(cluster.port).catch((error: unknown) => String(error));
          if (typeof back === "string") {
            expect(back).toContain("4002");
            guest.seat.cut();
          } else {
            guest.seat = back;
            guest.isLeaving = false;
            await back.acknowledge();
          }
        } else {
          await comeBack(guest);
          await guest.seat.acknowledge();
        }
      }
      await added;
      guests = guests.filter((guest) => !guest.isLeaving);
      for (const guest of guests) guest.isBusy = false;
      const present = [witness.sessionId, ...guests.map(({ seat }) => seat.sessionId)];
      expect(new Set(present).size, "nobody has a seat twice").toBe(present.length);
      expect(present.length).toBeLessThanOrEqual(MAX_CLIENTS);
      await expectSeats(cluster, witness, { present });
    }
    console.log(JSON.stringify({ ...counts, most }));
    expect(counts.joined + counts.returned).toBeGreaterThan(0);
    expect(most, "players in the room at any one time").toBeLessThanOrEqual(MAX_CLIENTS);
  },
);
