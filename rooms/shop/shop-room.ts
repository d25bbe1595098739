// The market as a Colyseus room: what players pay and get is never lost, and never done twice, whatever dies meanwhile.
//
// Each step that matters is a commit: the room's state and its row in the ledger become durable together, or neither
// does. `buy` and `gift` are commands: a client that got no answer asks again with the same key, now or after it has
// come back, and is given the answer of the one time that it was carried out.

import { createHash } from "node:crypto";
import { Room, type Client } from "@colyseus/core";
import { command, commit, type CommitTx } from "../../src/index.ts";
import { parseName } from "../arena/arena-messages.ts";
import { parseGift, parseOrder, Refusal, type Gift, type Order, type Receipt } from "./shop-messages.ts";
import { canPay, giveBack, hand, PRICES, take, WELCOME_COINS } from "./shop-rules.ts";
import { Customer, ShopState } from "./shop-state.ts";

/** As long as the stock SDK keeps trying to come back (56 s), and a little more. */
const SEAT_HELD_SECONDS = 60;
/** A market ends when everybody has left, and remembers all who came until then. */
const CUSTOMERS_MAX = 500;

const MARKET = "market";
const RECORD =
  "INSERT INTO public.shop_ledger (market, payer, key, payee, item, coins) VALUES ($1, $2, $3, $4, $5, $6)";

export class ShopRoom extends Room<{ state: ShopState }> {
  override state = new ShopState();
  override maxClients = 20;
  override maxMessagesPerSecond = 40;

  override messages = {
    buy: command(this, parseOrder, (client, order, tx) => this.#buy(client, order, tx), { by: playerOf }),
    gift: command(this, parseGift, (client, gift, tx) => this.#gift(client, gift, tx), { by: playerOf }),
  };

  /** Who knows the token is the player. A game with accounts asks its own login service here. */
  static override onAuth(token: string): Promise<{ playerId: string }> {
    if (typeof token !== "string" || token.length < 16) throw new Refusal("unreadable");
    // Everybody sees the player's id, and nobody gets back to the token from it.
    return Promise.resolve({ playerId: createHash("sha256").update(token).digest("hex").slice(0, 20) });
  }

  /** The welcome coins are given once, however often the player leaves and joins: the state remembers, and so does Postgres. */
  override async onJoin(client: Client, options?: unknown): Promise<void> {
    const playerId = playerOf(client);
    const { customers } = this.state;
    await commit(this, (tx) => {
      if (customers.has(playerId)) return;
      if (customers.size >= CUSTOMERS_MAX) throw new Refusal("full");
      customers.set(playerId, new Customer({ name: parseName(options), coins: WELCOME_COINS }));
      tx.undo(() => customers.delete(playerId));
      tx.run(RECORD, [this.roomId, MARKET, playerId, playerId, null, WELCOME_COINS]);
    });
  }

  override onDrop(client: Client): void {
    // Every way in which it rejects is followed by onLeave, and a customer stays one without a player.
    this.allowReconnection(client, SEAT_HELD_SECONDS).catch(() => undefined);
  }

  #buy(client: Client, { key, item }: Order, tx: CommitTx): Receipt {
    const playerId = playerOf(client);
    const buyer = this.#customer(playerId);
    const price = PRICES[item];
    if (!canPay(buyer, price)) throw new Refusal("too-poor");
    take(buyer, item);
    tx.undo(() => giveBack(buyer, item));
    tx.run(RECORD, [this.roomId, playerId, key, MARKET, item, price]);
    // Others hear of it when it is certain.
    tx.after(() => this.broadcast("sold", { to: buyer.name, item }));
    return { paid: price, left: buyer.coins };
  }

  #gift(client: Client, { key, to, coins }: Gift, tx: CommitTx): Receipt {
    const playerId = playerOf(client);
    const [giver, receiver] = [this.#customer(playerId), this.#customer(to)];
    if (!canPay(giver, coins)) throw new Refusal("too-poor");
    hand(coins, giver, receiver);
    tx.undo(() => hand(coins, receiver, giver));
    tx.run(RECORD, [this.roomId, playerId, key, to, null, coins]);
    tx.after(() => this.broadcast("given", { from: giver.name, to: receiver.name, coins }));
    return { paid: coins, left: giver.coins };
  }

  #customer(playerId: string): Customer {
    const customer = this.state.customers.get(playerId);
    if (customer === undefined) throw new Refusal("nobody-there");
    return customer;
  }
}

function playerOf(client: Client): string {
  return (client.auth as { playerId: string }).playerId; // what onAuth gave
}
