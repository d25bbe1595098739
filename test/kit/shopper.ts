// A player of the shop, with the stock SDK, who asks again with the same key until there is an answer: as a real client does
// that has been cut off, has heard nothing, or was told to try again.

import { randomUUID } from "node:crypto";
import type { Client } from "@colyseus/sdk";
import type { Receipt } from "../../rooms/shop/shop-messages.ts";
import type { Item } from "../../rooms/shop/shop-rules.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { Player } from "./player.ts";
import { until } from "./until.ts";

/** Who asks again at once is thrown out for asking too often. */
const AGAIN_MS = 100;

export interface Bought extends Receipt {
  readonly key: string;
  readonly item: Item;
  /** How often it was asked for. */
  readonly asked: number;
}

/** What `ShopState.toJSON()` gives of one. */
export interface SeenCustomer {
  readonly name: string;
  readonly coins: number;
  readonly items: Readonly<Record<string, number>>;
}

export class Shopper {
  readonly player: Player;
  readonly token: string;
  /** What this player was told, in order. */
  readonly bought: Bought[] = [];

  private constructor(player: Player, token: string) {
    this.player = player;
    this.token = token;
    player.room.onMessage("*", () => {}); // what the room tells everybody; the SDK wants it to be heard
  }

  /** A new market. */
  static async open(client: Client, token: string = randomUUID()): Promise<Shopper> {
    client.auth.token = token;
    return new Shopper(await Player.create(client, "shop", { name: "ada" }), token);
  }

  /** One that is there already. */
  static async join(client: Client, market: string, token: string = randomUUID()): Promise<Shopper> {
    client.auth.token = token;
    return new Shopper(await Player.join(client, market, { name: "bob" }), token);
  }

  get market(): string {
    return this.player.roomId;
  }

  /** Everybody in the market, by the mirror that the SDK keeps. */
  get customers(): Readonly<Record<string, SeenCustomer>> {
    return (this.player.mirror as unknown as { customers: Record<string, SeenCustomer> }).customers;
  }

  /**
   * @param withinMs how long to go on asking
   * @throws what the room itself said no with, or when the session has ended for good
   */
  async buy(item: Item, withinMs = 40_000): Promise<Bought> {
    const key = randomUUID();
    const { answer, asked } = await this.#insist<Receipt>("buy", { key, item }, withinMs);
    const bought = { ...answer, key, item, asked };
    this.bought.push(bought);
    return bought;
  }

  async #insist<Answer>(
    type: string,
    message: { readonly key: string; readonly item: Item },
    withinMs: number,
  ): Promise<{ answer: Answer; asked: number }> {
    let asked = 0;
    let why: unknown;
    const outcome = await until(
      `an answer to ${type} ${message.key}`,
      async () => {
        const { leftWith } = this.player;
        if (leftWith !== undefined) return { refusal: new Error(`the session ended with ${leftWith}`) };
        if (!this.player.room.connection.isOpen) return false; // it is on its way back
        asked += 1;
        try {
          return { answer: await this.player.ask<Answer>(type, message) };
        } catch (error) {
          why = error;
          if ((error as Error).name === "Refusal") return { refusal: error };
          await systemClock.sleep(AGAIN_MS);
          return false;
        }
      },
      { ms: withinMs, seen: () => ({ asked, why: String(why), drops: this.player.drops }) },
    );
    if ("refusal" in outcome) throw outcome.refusal;
    return { answer: outcome.answer, asked };
  }
}
