// The rules of the market: what things cost, who can pay, and how to take a step back. Pure: they know of no room, no
// database and no commit.

import type { Customer } from "./shop-state.ts";

export const PRICES = { arrow: 2, potion: 5, sword: 40, crown: 900 } as const;
export type Item = keyof typeof PRICES;

/** What a market gives each player, once. */
export const WELCOME_COINS = 1_000;

export function canPay({ coins }: Customer, price: number): boolean {
  return coins >= price;
}

/** The opposite of `giveBack`. */
export function take(customer: Customer, item: Item): void {
  customer.coins -= PRICES[item];
  customer.items.set(item, (customer.items.get(item) ?? 0) + 1);
}

/** The opposite of `take`. */
export function giveBack(customer: Customer, item: Item): void {
  customer.coins += PRICES[item];
  const left = (customer.items.get(item) ?? 0) - 1;
  if (left > 0) customer.items.set(item, left);
  else customer.items.delete(item);
}

export function hand(coins: number, from: Customer, to: Customer): void {
  from.coins -= coins;
  to.coins += coins;
}
