// What a client may ask of a market, parsed once, here, and the answers it can get.
//
//   await room.request("buy", { key: crypto.randomUUID(), item: "sword" })            a Receipt
//   await room.request("gift", { key: crypto.randomUUID(), to: playerId, coins: 5 })  a Receipt
//
// A request whose answer was lost is asked again with the same key, and is not carried out twice.

import { isRecord } from "../arena/arena-messages.ts";
import { PRICES, type Item } from "./shop-rules.ts";

export interface Order {
  readonly key: string;
  readonly item: Item;
}

export interface Gift {
  readonly key: string;
  /** A key of `ShopState.customers`. */
  readonly to: string;
  readonly coins: number;
}

/** What was paid, and what the player had left then. */
export interface Receipt {
  readonly paid: number;
  readonly left: number;
}

/** Why a request was refused. Part of the protocol: a released word keeps its meaning. */
export type Why = "unreadable" | "too-poor" | "nobody-there" | "full";

/** Thrown to the player: Colyseus rejects their request with its name, message and code. */
export class Refusal extends Error {
  override readonly name = "Refusal";
  readonly code: Why;

  constructor(why: Why) {
    super(why);
    this.code = why;
  }
}

/** @throws Refusal "unreadable" */
export function parseOrder(message: unknown): Order {
  const { key, item } = fieldsOf(message);
  if (!isItem(item)) throw new Refusal("unreadable");
  return { key: String(key), item };
}

/** @throws Refusal "unreadable" */
export function parseGift(message: unknown): Gift {
  const { key, to, coins } = fieldsOf(message);
  if (typeof to !== "string" || typeof coins !== "number") throw new Refusal("unreadable");
  if (!Number.isInteger(coins) || coins < 1 || coins > 1_000_000) throw new Refusal("unreadable");
  return { key: String(key), to, coins };
}

/** The key is text, and not too long: `command` has seen to that before it parses. */
function fieldsOf(message: unknown): Readonly<Record<string, unknown>> {
  if (!isRecord(message)) throw new Refusal("unreadable");
  return message;
}

function isItem(item: unknown): item is Item {
  return typeof item === "string" && Object.hasOwn(PRICES, item);
}
