// What a market is: who has how many coins, and what they have bought. Players see all of it.
//
// The state changes only inside commits, so a coin that a checkpoint holds has its row in the ledger, and the other way
// round. Customers stay when their player leaves: whoever comes back finds what they had.

import { schema, t, type SchemaType } from "@colyseus/schema";

export const Customer = schema(
  {
    name: t.string().default(""),
    coins: t.uint32().default(0),
    /** How many of each item. */
    items: t.map("uint16"),
  },
  "Customer",
);
export type Customer = SchemaType<typeof Customer>;

/** `customers` by player, not by session: the same player may come back in another seat. */
export const ShopState = schema({ customers: t.map(Customer) }, "ShopState");
export type ShopState = SchemaType<typeof ShopState>;
