// What players buy, under kill -9: nothing is lost and nothing is done twice. Rooms, ledger and players must agree in the end,
// to the coin.

import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import type { Receipt } from "../../rooms/shop/shop-messages.ts";
import { PRICES, WELCOME_COINS, type Item } from "../../rooms/shop/shop-rules.ts";
import { startCluster, type TestCluster, type TestNode } from "../kit/cluster.ts";
import { Shopper } from "../kit/shopper.ts";
import { until } from "../kit/until.ts";
import { seededRandom } from "../load/random.ts";

const MARKETS = 5;
const SHOPPERS = 10;
const PURCHASES_EACH = 100;
/** Nodes that leave, one after the other: all by kill -9, but for one that drains, and one that freezes and wakes too late. */
const DEATHS = 12;
const DRAINED = 5;
const FROZEN = 8;
const PURCHASES_A_DEATH = (SHOPPERS * PURCHASES_EACH) / DEATHS;
/** So cheap that nobody runs out of coins. */
const CHEAP: readonly Item[] = ["arrow", "potion"];

interface Row {
  readonly payer: string;
  readonly key: string;
  readonly item: Item | null;
  readonly coins: number;
}

/** What a market's players paid, by the ledger. */
function paidIn(cluster: TestCluster, market: string): Promise<Row[]> {
  return cluster.sql<Row & Record<string, unknown>>(
    "SELECT payer, key, item, coins FROM public.shop_ledger WHERE market = $1 AND payer <> 'market'",
    [market],
  );
}

/** Stops it in the middle of whatever it does, and lets it go on when its rooms are others'. */
async function freezeUntilLost(cluster: TestCluster, victim: TestNode): Promise<void> {
  const rooms = (await cluster.report()).rooms.filter(({ nodeId }) => nodeId === victim.nodeId);
  const taken = rooms.map(({ roomId }) =>
    cluster.events.next("room:restored", (facts) => facts.roomId === roomId),
  );
  const lost = cluster.events.next("node:lost", (facts) => facts.lostIncarnation === victim.incarnation);
  victim.freeze();
  await lost;
  await Promise.all(taken);
  victim.thaw();
  expect(await victim.exited, "fenced").toBe(75);
}

test("[COM1] [COM4] 1,000 purchases while nodes die: none is lost, none is done twice, and all books agree", async () => {
  const seed = Number(process.env["SEED"] ?? Date.now() % 1_000_000);
  console.info(`seed ${seed}`);
  const random = seededRandom(seed);
  await using cluster = await startCluster({ game: "../rooms/index.ts", env: { LOG_LEVEL: "info" } });
  const shoppers: Shopper[] = [];
  for (let index = 0; index < SHOPPERS; index++) {
    const market = shoppers[index % MARKETS]?.market;
    shoppers.push(
      index < MARKETS || market === undefined
        ? await Shopper.open(cluster.client())
        : await Shopper.join(cluster.client(), market),
    );
  }

  let done = 0;
  let deaths = 0;
  let oneMore = (): void => {};
  /** Each death comes while players are buying. */
  const nemesis = async (): Promise<void> => {
    for (; deaths < DEATHS; deaths++) {
      const enough = (deaths + random() * 0.7) * PURCHASES_A_DEATH;
      const victim = cluster.nodes[Math.floor(random() * cluster.nodes.length)];
      if (victim === undefined) throw new Error("no node runs");
      while (done < enough) await new Promise<void>((resolve) => (oneMore = resolve));
      if (deaths === DRAINED) expect(await victim.drain()).toBe(0);
      else if (deaths === FROZEN) await freezeUntilLost(cluster, victim);
      else await victim.kill();
      await cluster.add(victim.nodeId);
    }
  };
  const shopping = shoppers.map(async (shopper, index) => {
    const chooses = seededRandom(seed + index);
    for (let count = 0; count < PURCHASES_EACH; count++) {
      // Everybody's share: so there is somebody buying whenever a node dies, and nobody so fast that the room throws them out.
      await until("a node more has died", () => count < ((deaths + 1) * PURCHASES_EACH) / DEATHS, {
        ms: 40_000,
      });
      await shopper.buy(CHEAP[Math.floor(chooses() * CHEAP.length)] ?? "arrow");
      done += 1;
      oneMore();
    }
  });
  await Promise.all([nemesis(), ...shopping]);

  const told = shoppers.flatMap(({ bought }) => bought);
  const again = told.filter(({ asked }) => asked > 1).length;
  console.info(`${told.length} purchases, ${again} of them asked for more than once; ${DEATHS} nodes died`);
  expect(told).toHaveLength(SHOPPERS * PURCHASES_EACH);
  expect(again, "purchases in the way of a death").toBeGreaterThan(0);
  for (const { bought } of shoppers) {
    // Each answer stands on the one before: nothing that was answered has been undone, nothing was paid twice.
    let left = WELCOME_COINS;
    for (const each of bought) {
      expect(each.paid).toBe(PRICES[each.item]);
      expect(each.left, `after ${each.key}`).toBe((left -= each.paid));
    }
  }
  for (const market of new Set(shoppers.map((shopper) => shopper.market))) {
    const rows = await paidIn(cluster, market);
    const here = shoppers.filter((shopper) => shopper.market === market);
    const keys = here.flatMap(({ bought }) => bought.map(({ key }) => key));
    expect(rows.map(({ key }) => key).sort(), "one row for each purchase").toEqual(keys.sort());
    for (const shopper of here) {
      await until(
        "the player sees what the ledger says",
        () => {
          const books = Object.entries(shopper.customers);
          return (
            books.length === here.length &&
            books.every(([playerId, { coins, items }]) => {
              const own = rows.filter(({ payer }) => payer === playerId);
              const paid = own.reduce((sum, row) => sum + row.coins, 0);
              const count = Object.values(items).reduce((sum, each) => sum + each, 0);
              return coins === WELCOME_COINS - paid && count === own.length && count === PURCHASES_EACH;
            })
          );
        },
        { seen: () => ({ sees: shopper.customers, rows: rows.length }) },
      );
    }
  }
  // And long after: the same key, the same answer, the same books.
  for (const { player, bought } of shoppers) {
    const [first] = bought;
    if (first === undefined) throw new Error("nothing was bought");
    const { key, item, paid, left } = first;
    expect(await player.ask("buy", { key, item })).toEqual({ paid, left });
  }
  const [{ rows } = { rows: 0 }] = await cluster.sql<{ rows: number }>(
    "SELECT count(*)::integer AS rows FROM public.shop_ledger WHERE payer <> 'market'",
  );
  expect(rows).toBe(SHOPPERS * PURCHASES_EACH);
}, 120_000);

test("[COM1] [COM4] welcome coins once, gifts that add up, and a plain no: also after the owner has died", async () => {
  await using cluster = await startCluster({ game: "../rooms/index.ts" });
  const ada = await Shopper.open(cluster.client());
  const bob = await Shopper.join(cluster.client(), ada.market);
  const [adasId, bobsId] = await until("both are there", () => {
    const ids = Object.keys(ada.customers);
    return ids.length === 2 && (ids as [string, string]);
  });
  const coins = (): number[] => Object.values(ada.customers).map((customer) => customer.coins);
  const sold = Promise.withResolvers<unknown>();
  bob.player.room.onMessage("sold", sold.resolve);

  const key = randomUUID();
  const gift = { key, to: bobsId, coins: 300 };
  // Twice at once, and again: one gift.
  const answers = await Promise.all([ada.player.ask("gift", gift), ada.player.ask("gift", gift)]);
  expect([...answers, await ada.player.ask("gift", gift)]).toEqual(Array(3).fill({ paid: 300, left: 700 }));
  await until("both see it", () => String(coins()) === "700,1300");
  expect(await bob.buy("crown")).toMatchObject({ paid: PRICES.crown, left: 400 });
  expect(await sold.promise).toEqual({ to: "bob", item: "crown" });
  await expect(ada.buy("crown")).rejects.toMatchObject({ name: "Refusal", code: "too-poor" });
  await expect(ada.player.ask("gift", { ...gift, key: "other", to: "x" })).rejects.toThrow("nobody-there");
  await expect(ada.player.ask("gift", { ...gift, key: "other", coins: -1 })).rejects.toThrow("unreadable");
  await expect(ada.player.ask("buy", { item: "arrow" })).rejects.toMatchObject({ code: "BAD_REQUEST" });

  // Bob leaves and comes back, and has a second window open: he is who he was.
  await bob.player.room.leave();
  const back = await Shopper.join(cluster.client(), ada.market, bob.token);
  const second = await Shopper.join(cluster.client(), ada.market, bob.token);
  expect(await back.buy("arrow")).toMatchObject({ left: 398 });
  expect(await second.buy("arrow")).toMatchObject({ left: 396 });
  await (await cluster.ownerOf(ada.market)).kill();
  expect(await second.buy("arrow")).toMatchObject({ left: 394 });
  // What was refused is not remembered; what was carried out is, for the other window too.
  const [first] = back.bought;
  const reply = await until<Receipt>("the first window is back", () =>
    back.player.ask("buy", { key: first?.key, item: "arrow" }),
  );
  expect(reply).toEqual({ paid: 2, left: 398 });
  await until("ada sees it", () => String(coins()) === "700,394");
  expect(ada.customers[bobsId]?.items).toEqual({ crown: 1, arrow: 3 });
  expect(await paidIn(cluster, ada.market)).toHaveLength(5);
  const welcomed = await cluster.sql("SELECT payee FROM public.shop_ledger WHERE payer = 'market'");
  expect(new Set(welcomed.map(({ payee }) => payee as string))).toEqual(new Set([adasId, bobsId]));
});
